"""The register map as data: one source for gateware, model, driver, header and documentation.

Nothing here needs Amaranth, and nothing here knows the rest of the product.
"""

from .config import Config, ConfigError
from .schema import Access, Field, Register, Space, Table, bits

__all__ = ["Access", "Config", "ConfigError", "Field", "Register", "Space", "Table", "bits"]
