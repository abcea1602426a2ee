"""What passes in and out of message storage."""

from amaranth import *
from amaranth.lib import data


class Vector(data.Struct):
    """An interrupt vector: an entry of one of the two tables."""

    #: Entry of the table.
    index: 14
    #: 1 for interrupt message storage, 0 for the MSI-X table.
    ims: 1


class Event(data.Struct):
    """Something happened that a vector tells of."""

    #: Entry of the table.
    index: 14
    #: 1 for interrupt message storage, 0 for the MSI-X table.
    ims: 1
    #: It is the completion of a descriptor, which Ignore silences (DSA §9.2.22, §9.2.28).
    completion: 1


class Check(data.Struct):
    """Whether a descriptor may ring a vector (DSA §5.4, completion interrupt handle)."""

    vector: Vector
    #: PASID of the descriptor.
    pasid: 20
    #: Whether its queue uses PASIDs.
    pasid_enable: 1


class Message(data.Struct):
    """An interrupt message: one DW to one address."""

    #: Byte address; bits 1:0 are 0.
    address: 64
    #: What to write there.
    data: 32
