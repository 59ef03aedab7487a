# The hub's commands from the root; they are in infra/Makefile. Everything else is in package.json.
.PHONY: help build up-store down-store up-redis down-redis up-monitoring down-monitoring up down reset ps logs health metrics
help build up-store down-store up-redis down-redis up-monitoring down-monitoring up down reset ps logs health metrics:
	@$(MAKE) --no-print-directory -C infra $@
