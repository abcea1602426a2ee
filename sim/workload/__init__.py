"""Operations with known outcomes, for tenants of the demonstration and of soak runs."""
