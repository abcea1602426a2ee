"""A day of tenants that come and go, on three ways to hand out vectors."""
