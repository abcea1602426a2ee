"""What each tag is doing."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out


class Outstanding(Component):
    """One bit per tag for each thing that may be true of it.

    Every input names an event of this clock, and beside it the bit of the tag it concerns; the
    events of one tag do not coincide, but that ``flush`` may come with any of ``advance``,
    ``finish`` and ``expire``.

    **Timing**: events show in the next clock.

    Parameters
    ----------
    tags
        A power of two.

    Members
    -------
    issue, issue_at, issue_sent
        The tag is taken for a chunk; whether a request goes out for it.
    advance, finish, answered_at
        Its first completion has come; its last one has.
    expire, recover, watched_at
        It has waited too long, and is in quarantine from now on; the quarantine is over.
    flush
        Whatever waits is an orphan from now on.
    waiting : ``tags``
        Completions are to come.
    fresh : ``tags``
        None has come yet.
    orphan : ``tags``
        Nobody wants the data.
    expired : ``tags``
        The chunk timed out.
    quarantine : ``tags``
        A completion may still come that is not for a new request.
    """

    def __init__(self, tags: int):
        self._tags = tags
        super().__init__(
            {
                "issue": In(1),
                "issue_at": In(tags),
                "issue_sent": In(1),
                "advance": In(1),
                "finish": In(1),
                "answered_at": In(tags),
                "expire": In(1),
                "recover": In(1),
                "watched_at": In(tags),
                "flush": In(1),
                "waiting": Out(tags),
                "fresh": Out(tags),
                "orphan": Out(tags),
                "expired": Out(tags),
                "quarantine": Out(tags),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for tag in range(self._tags):
            with m.If(self.issue & self.issue_at[tag]):
                m.d.sync += [
                    self.waiting[tag].eq(self.issue_sent),
                    self.fresh[tag].eq(1),
                    self.orphan[tag].eq(0),
                    self.expired[tag].eq(0),
                ]
            with m.If(self.advance & self.answered_at[tag]):
                m.d.sync += self.fresh[tag].eq(0)
            with m.If(self.finish & self.answered_at[tag]):
                m.d.sync += self.waiting[tag].eq(0)
            with m.If(self.expire & self.watched_at[tag]):
                m.d.sync += [
                    self.waiting[tag].eq(0),
                    self.expired[tag].eq(1),
                    self.quarantine[tag].eq(1),
                ]
            with m.If(self.recover & self.watched_at[tag]):
                m.d.sync += self.quarantine[tag].eq(0)
        with m.If(self.flush):
            m.d.sync += self.orphan.eq(self.orphan | self.waiting)
        return m
