"""The host around the device: memory, IOMMU, interrupt controller; and a root complex for RTL.

``memory``, ``iommu``, ``interrupts`` and ``platform`` are plain Python, shared by the functional
model and the RTL simulation. ``root_complex`` and ``rtl_transport`` need cocotb.
"""
