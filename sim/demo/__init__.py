"""The demonstration: thousands of tenants, each with its own bell, watched from outside."""
