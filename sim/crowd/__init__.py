"""Host tenants by the thousand and guests on one device at once, while their vectors churn."""
