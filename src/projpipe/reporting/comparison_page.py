"""A comparison of methods for people: a Markdown document of what `compare_methods` found.

Names of rows and tables are free text and are escaped; a row that a user named is shown under that name, any other
under the name of its method.
"""

from collections.abc import Iterable, Iterator, Sequence

from projpipe.evaluation.break_even import BreakEven
from projpipe.evaluation.comparison_summary import ComparedTable, Comparison, SourceScore
from projpipe.evaluation.cost import Size
from projpipe.evaluation.latency import ComparisonTimings, SpeedUp
from projpipe.evaluation.summary import Difference, Headroom, Measured
from projpipe.metric import METRICS, NO_DIFFERENCE, TOO_FEW, Metric
from projpipe.reporting.caveats import FEW_SEEDS
from projpipe.reporting.formats import count, percent, times_faster
from projpipe.reporting.rows import NOTE, compared_with_reference, judged_on_sample, row_name
from projpipe.reporting.style import KIND_NAMES, tasks
from projpipe.students.model_card import in_markdown
from projpipe.training.provenance import Provenance

NONE = "\N{EN DASH}"


def comparison_markdown(summary: Comparison, timings: ComparisonTimings) -> str:
    """The document: for every table scores, paired differences, what training took, break-even and latency."""
    metric = METRICS[summary["metric"]]
    blocks = [f"# Methods compared on {in_markdown(summary['dataset'])}", _reading(metric, summary["teacher"])]
    for name, table in summary["tables"].items():
        blocks += [f"## {in_markdown(name)}", *_table_blocks(table, metric, summary), _latency(timings, name)]
    return "\n\n".join([*blocks, *_provenance(summary["provenance"])]) + "\n"


def _reading(metric: Metric, teacher: Size) -> str:
    title = metric.title.capitalize()
    scores = f"{title} is in {metric.unit}, with its" if metric.unit else f"{title}, {metric.direction}, have their"
    direction = "" if metric.higher_is_better else ", where a negative one is a gain"
    return (
        f"{scores} 95 % interval in brackets. Differences are paired by seed and test image, in {metric.step_title}"
        f"{direction}. They are bold where their interval leaves out zero, with two seeds or more; a plain one shows "
        "no difference either way. Tasks are too few to tell where the interval reaches further than "
        f"{metric.text(metric.matters)} {metric.step}: those are in italics. Intervals draw seeds, tasks and classes "
        "with their test images anew. "
        f"The teacher has {teacher['params']:,} parameters and takes {count(teacher['macs'])} multiply-accumulates an "
        "image."
    )


def _table_blocks(table: ComparedTable, metric: Metric, summary: Comparison) -> Iterator[str]:
    """Everything about one table but its heading and its latency."""
    yield _setting(table)
    yield _scores(table, metric)
    yield _differences(table, metric)
    of_source = " What becomes of a tuned source is measured on the validation images." * _tunes_source(table)
    yield (
        "Training: learning rate, steps, and operations of one run (a method with one seed) and of making the weights "
        f"for one task, a multiply-accumulate counted as two.{of_source}"
    )
    yield _training(table, metric)
    if any(judged_on_sample(name, table) for name in table["results"]):
        which = ", whose classes belong together" if summary.get("sampled_from") == "coherent" else ""
        yield (
            f"{NOTE.strip()} A model of its own for each of the {summary['sampled_tasks']} sampled tasks{which}; a run "
            "trains them all. It is judged on these tasks alone, and differences from it are paired on these tasks, so "
            "that they are not those of the means above."
        )
    if (headroom := table.get("headroom")) is not None:
        yield _headroom(headroom, table, metric)
    if table["break_even"] is not None:
        yield _break_even(table["break_even"], metric)


def _tunes_source(table: ComparedTable) -> bool:
    return any(trained["source_score"] is not None for trained in table["methods"].values())


def _setting(table: ComparedTable) -> str:
    student, reduction, seeds = table["student"], table["reduction"], table["seeds"]
    return (
        f"Student: embed_dim {student['embed_dim']}, depth {student['depth']}, num_heads {student['num_heads']}, "
        f"mlp_ratio {student['mlp_ratio']:g}; {student['params']:,} parameters ({percent(reduction['params'])} % fewer "
        f"than the teacher), {count(student['macs'])} multiply-accumulates an image ({percent(reduction['macs'])} % "
        f"fewer). {table['steps']:,} training steps; seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}."
        + _of_few_seeds(len(seeds))
    )


def _of_few_seeds(seeds: int) -> str:
    if seeds == 1:
        return (
            " With one seed, intervals hold the spread of tasks and classes alone, and no difference counts as shown."
        )
    if seeds < FEW_SEEDS:
        return f" {seeds} seeds show the spread between training runs only roughly: intervals are wide for that reason."
    return ""


def _scores(table: ComparedTable, metric: Metric) -> str:
    results = table["results"]
    most = {
        kind: max(cells[kind]["tasks"] for cells in results.values() if kind in cells)
        for kind in KIND_NAMES
        if any(kind in cells for cells in results.values())
    }

    def cell(measured: Measured) -> str:
        return f"{metric.text(measured['mean'])} {metric.ends(measured['ci95'])}"

    return _grid(
        ["method", *(f"{KIND_NAMES[kind]} ({tasks(number)})" for kind, number in most.items())],
        (
            [_row(name, table), *(cell(cells[kind]) if kind in cells else NONE for kind in most)]
            for name, cells in results.items()
        ),
    )


def _differences(table: ComparedTable, metric: Metric) -> str:
    compared = list(compared_with_reference(table))
    kinds = [kind for kind in KIND_NAMES if any(kind in cells for _, cells in compared)]

    def cell(difference: Difference) -> str:
        low, high = (metric.difference(bound).lstrip("+") for bound in difference["ci95"])
        text = f"{metric.difference(difference['mean'])} [{low}, {high}]"
        verdict = metric.verdict(difference["ci95"], len(difference["by_seed"]))
        mark = "" if verdict == NO_DIFFERENCE else "*" if verdict == TOO_FEW else "**"
        return f"{mark}{text}{mark}"

    def by_seed(difference: Difference) -> str:
        return ", ".join(metric.difference(mean) for mean in difference["by_seed"])

    columns = [(KIND_NAMES[kind], kind, cell) for kind in kinds]
    if len(table["seeds"]) > 1:
        columns.append((f"{KIND_NAMES[kinds[0]]}, each seed", kinds[0], by_seed))
    return _grid(
        [f"{in_markdown(row_name(table['reference'], table))} minus", *(heading for heading, _, _ in columns)],
        (
            [_row(name, table), *(write(cells[kind]) if kind in cells else NONE for _, kind, write in columns)]
            for name, cells in compared
        ),
    )


def _training(table: ComparedTable, metric: Metric) -> str:
    methods, tuned = table["methods"], _tunes_source(table)

    def source(score: SourceScore | None) -> str:
        return NONE if score is None else f"{metric.text(score['before'])} → {metric.text(score['after'])}"

    return _grid(
        [
            "method",
            "learning rate",
            "steps",
            "training, one run",
            "making one model",
            *[f"source {metric.heading}, before → after"] * tuned,
        ],
        (
            [
                _row(name, table),
                f"{trained['learning_rate']:g}",
                f"{trained['steps']:,}",
                _operations(trained["training_flops"]),
                NONE if judged_on_sample(name, table) else _operations(trained["flops_to_make"]),
                *[source(trained["source_score"])] * tuned,
            ]
            for name, trained in methods.items()
        ),
    )


def _headroom(found: Headroom, table: ComparedTable, metric: Metric) -> str:
    """What the specialist is above the best shared model, by kind, and what part of it the reference has."""
    parts = []
    for kind, points in found["points"].items():
        low, high = (metric.difference(end).lstrip("+") for end in points["ci95"])
        share = found["share"][kind]
        caught = "no share of it shown"
        if share is not None:
            ends = " to ".join(f"{100 * end:.0f}" for end in share["ci95"])
            caught = f"{100 * share['mean']:.0f} % of it caught [{ends}]"
        parts.append(f"{KIND_NAMES[kind]}: {metric.difference(points['mean'])} [{low}, {high}], {caught}")
    rows = (found["specialist"], found["shared"], table["reference"])
    specialist, shared, reference = (in_markdown(row_name(row, table)) for row in rows)
    return (
        f"**Headroom.** By how much {specialist} is above {shared}, the best shared model on validation tasks, and "
        f"what share of it {reference} catches, on the sampled tasks: {'; '.join(parts)}."
    )


def _break_even(found: BreakEven, metric: Metric) -> str:
    steps, per_task = f"{found['steps_per_task']:,.0f}", _operations(found["flops_per_task"])
    score = f"the projector's {metric.title} on validation images of the sampled tasks"
    if found["reached"]:
        lead = f"The distilled models reach {score} after {steps} steps a task ({per_task})."
    else:
        lead = (
            f"The distilled models did not reach {score} within their budget of {steps} steps a task ({per_task}): "
            "these figures and the ratio below are lower bounds, and the number of tasks is an upper bound."
        )
    at_most, at_least = ("", "") if found["reached"] else ("at most ", "at least ")
    projector, to_make = _operations(found["projector_flops"]), _operations(found["flops_to_make"])
    if found["times_less"] > 1:
        costs = (
            f"Training the projector takes {projector}, which pays off from {at_most}{found['tasks']:,.1f} tasks. It "
            f"then makes a model with {to_make}, {at_least}{found['times_less']:,.0f} times less than distilling one."
        )
    else:
        costs = (
            f"Training the projector takes {projector}, and making a model with it {to_make}: at these figures it does "
            "not pay off in operations."
        )
    return f"**Break-even.** {lead} {costs} The teacher's own forward passes are counted on neither side."


def _latency(timings: ComparisonTimings, table: str) -> str:
    threads = timings["threads"]
    measured = [f"batch {size}: {_times(of_size, decimals=2)}" for size, of_size in timings["latency"][table].items()]
    if timings["sampling"]:
        measured.append(f"sampling one image: {_times(timings['sampling'][table], decimals=1)}")
    on = f"{in_markdown(timings['machine'])} with {threads} thread{'s' * (threads > 1)}"
    return f"Latency on {on}: {'; '.join(measured)}."


def _times(found: SpeedUp, decimals: int) -> str:
    faster = times_faster(found)
    while_busy = ", measured on a busy machine" * (" to " in faster)
    return (
        f"teacher {found['teacher_ms']:.{decimals}f} ms, student {found['student_ms']:.{decimals}f} ms "
        f"({faster} times as fast{while_busy})"
    )


def _provenance(provenance: Provenance) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    return [
        "## How this was made",
        f"```bash\n{provenance['command']}\n```",
        f"Commit `{provenance['commit']}`; {in_markdown(versions)}; on {in_markdown(provenance['processor'])}.",
    ]


def _row(name: str, table: ComparedTable) -> str:
    return in_markdown(row_name(name, table)) + NOTE * judged_on_sample(name, table)


def _operations(number: float) -> str:
    text = count(number)
    return f"{text}FLOP" if text[-1].isalpha() else f"{text} FLOP"


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose numbers, in all columns but the first, stand to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
