"""What each tag is doing."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out


class Outstanding(Component):
    """One bit per tag for each thing that may be true of it.

    Every input names an event of this clock with the tag it concerns; the events of one tag do not
    coincide, but that ``flush`` may come with any of ``advance``, ``finish`` and ``expire``.

    **Timing**: events show in the next clock.

    Parameters
    ----------
    tags
        A power of two.

    Members
    -------
    issue, issue_tag, issue_sent
        The tag is taken for a chunk; whether a request goes out for it.
    advance, advance_tag
        Its first completion has come.
    finish, finish_tag
        Its last completion has come.
    expire, expire_tag
        It has waited too long. The tag is in quarantine from now on.
    recover, recover_tag
        The quarantine is over.
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
        tag = In(range(tags))
        super().__init__(
            {
                "issue": In(1),
                "issue_tag": tag,
                "issue_sent": In(1),
                "advance": In(1),
                "advance_tag": tag,
                "finish": In(1),
                "finish_tag": tag,
                "expire": In(1),
                "expire_tag": tag,
                "recover": In(1),
                "recover_tag": tag,
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
            with m.If(self.issue & (self.issue_tag == tag)):
                m.d.sync += [
                    self.waiting[tag].eq(self.issue_sent),
                    self.fresh[tag].eq(1),
                    self.orphan[tag].eq(0),
                    self.expired[tag].eq(0),
                ]
            with m.If(self.advance & (self.advance_tag == tag)):
                m.d.sync += self.fresh[tag].eq(0)
            with m.If(self.finish & (self.finish_tag == tag)):
                m.d.sync += self.waiting[tag].eq(0)
            with m.If(self.expire & (self.expire_tag == tag)):
                m.d.sync += [
                    self.waiting[tag].eq(0),
                    self.expired[tag].eq(1),
                    self.quarantine[tag].eq(1),
                ]
            with m.If(self.recover & (self.recover_tag == tag)):
                m.d.sync += self.quarantine[tag].eq(0)
        with m.If(self.flush):
            m.d.sync += self.orphan.eq(self.orphan | self.waiting)
        return m
