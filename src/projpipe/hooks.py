"""What a run shows of its nodes, and what stops it early: inputs that are missing or cannot be read."""

import logging
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.validation.exceptions import DataValidationError

from projpipe.atomic import tidy_up
from projpipe.checksums import changed_file, listing, write_checksums
from projpipe.config import ExtractTeacherConfig, RayConfig, SampledTasks, SplitTasksConfig, TrainProjectorConfig
from projpipe.datasets import DamagedFileError
from projpipe.errors import InputError, causes
from projpipe.lock import locked
from projpipe.pipeline_registry import ORDER

logger = logging.getLogger(__name__)

LAST = {"evaluate", "compare_methods"}  # no pipeline reads what these write, and some of it differs from run to run
NOT_LISTED = {
    *("images", "index"),  # their checksum is on the card of the data set
    "size_table",  # `projpipe measure` writes it anew; it holds the checksum of what it is of
}


class ProgressHooks:
    """Says which node starts, how long it took where that was a while, and at the end what came of it."""

    def __init__(self) -> None:
        self._started = 0.0

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Say which node starts."""
        self._started = time.perf_counter()
        logger.info(node.name)

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Say how long it took."""
        seconds = time.perf_counter() - self._started
        if seconds >= 1:
            logger.info("%s took %.0f s", node.name, seconds)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Close a run that wrote the report or a comparison with its tables."""
        made = pipeline.all_outputs()
        if not made & {"report", "comparison_page"}:
            return
        from rich.console import Console

        from projpipe.reporting.table import print_closing_table, print_comparison

        if "report" in made:
            metrics, costs, timings = (catalog.load(name) for name in ("metrics", "costs", "timings"))
            print_closing_table(metrics, costs, timings, catalog["report"].filepath, Console())
        if "comparison_page" in made:
            print_comparison(catalog.load("comparison"), catalog["comparison_page"].filepath, Console())


class ThreadHooks:
    """Has nodes compute with as many threads as parameters say, so that machines with more make the same bytes."""

    @hook_impl
    def before_node_run(self, node: Node, catalog: CatalogProtocol) -> None:
        """The teacher's nodes have their own number, those after them that of a worker; images and tasks take none."""
        if "split_tasks" in node.tags:
            return
        from projpipe.training.threads import use_threads  # imports torch

        if "extract_teacher" in node.tags:
            use_threads(ExtractTeacherConfig.model_validate(catalog.load("params:extract_teacher")).threads)
        else:
            config = TrainProjectorConfig.model_validate(catalog.load("params:train_projector"))
            use_threads(config.ray.cpus_per_worker)


class ChecksumHooks:
    """Keeps checksums of what pipelines write for later ones, with which `InputHooks` compares what these find."""

    def __init__(self) -> None:
        self._catalog: CatalogProtocol | None = None

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Remember where data sets are."""
        self._catalog = catalog

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Forget the checksums of what is replaced: a run that is killed now leaves none that are wrong."""
        if paths := self._paths(dataset_name, node):
            data, pipeline, _ = paths
            listing(data, pipeline, dataset_name).unlink(missing_ok=True)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Keep the checksums of what was written."""
        if paths := self._paths(dataset_name, node):
            data, pipeline, path = paths
            write_checksums(data, pipeline, dataset_name, path)

    def _paths(self, name: str, node: Node) -> tuple[Path, str, Path] | None:
        """Of a data set that later pipelines read: the environment's folder, the pipeline that writes it, its path."""
        if self._catalog is None or node.namespace is None or node.namespace in LAST or name in NOT_LISTED:
            return None
        path = getattr(self._catalog[name], "filepath", None)
        return path and (_data(self._catalog), node.namespace, path)


class InputHooks:
    """Checks inputs before the first node runs, and says which command makes what is missing or damaged.

    While a pipeline runs, the environment's folder of data is its own.
    """

    def __init__(self) -> None:
        self._loading = ""
        self._lock = ExitStack()

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Refuse to run a pipeline whose inputs are not there, or to train a teacher for what could not follow.

        Raises:
            InputError: names the data sets that are missing and the command that makes them, the parameter that does
                not fit, or the run that is at work on the same data.
        """
        folder = _data(catalog)
        try:
            if there := folder.exists():  # a run that is refused makes none
                self._take(folder)
            self._check(run_params, pipeline, catalog)
            if not there:
                self._take(folder)
        except BaseException:
            self._lock.close()
            raise

    def _take(self, folder: Path) -> None:
        self._lock.enter_context(locked(folder))
        tidy_up(folder)

    def _check(self, run_params: Mapping[str, str], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        made = pipeline.all_outputs()
        if "params:train_projector" in pipeline.inputs():
            from projpipe.methods.registry import check_rates_and_schedules  # imports torch

            check_rates_and_schedules(catalog.load("params:train_projector"))
        if "comparison_trials" in made:
            _check_comparison(catalog, with_teacher="teacher" in made)
        missing = _missing(pipeline, catalog)
        if missing:
            raise InputError(
                f"{', '.join(sorted(missing))}: not there yet; make {'it' if len(missing) == 1 else 'them'} with "
                f"`{_command(missing, catalog, run_params['env'])}`"
            )
        _check_checksums(pipeline, catalog, run_params["env"])
        self._check_images(run_params, pipeline, catalog)
        if {"teacher", "run_inputs"} <= made:
            _check_sizes(catalog, "size_table" in made)
            if "tasks" in made:
                _check_tasks(catalog)
            _check_machine(catalog.load("params:train_projector").ray)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let others have the data."""
        self._lock.close()

    def _check_images(self, run_params: Any, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Compare the images that a pipeline reads with the hash that was recorded when they were written."""
        names = ("images", "index", "dataset_card")
        if not {"images", "index"} & pipeline.inputs() or not all(map(catalog.exists, names)):
            return
        from projpipe.images.index import check_images

        read = {}
        try:
            for self._loading in names:
                read[self._loading] = catalog.load(self._loading)
        except Exception as error:
            self.on_pipeline_error(error, run_params, pipeline, catalog)
            raise
        try:
            check_images(read["images"], read["index"], read["dataset_card"])
        except InputError as error:
            command = _command({"images"}, catalog, run_params["env"])
            raise InputError(f"{error}; make them again with `{command}`") from error

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str, node: Node) -> None:
        """Remember what is being read, for `on_pipeline_error`."""
        self._loading = dataset_name

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol
    ) -> None:
        """Add to the error of an input that cannot be read how to make it again.

        Raises:
            InputError: names the file, what is wrong with it, and the command.
        """
        self._lock.close()
        for cause in causes(error):
            if isinstance(cause, DamagedFileError):
                wrong = str(cause)
            elif isinstance(cause, DataValidationError) and cause.mode == "load":
                failures = "; ".join(failure.message for failure in cause.failures)
                wrong = f"{catalog[self._loading].filepath} breaks its schema ({failures})"
            else:
                continue
            command = _command({self._loading}, catalog, run_params["env"])
            raise InputError(f"{wrong}; delete it and make it again with `{command}`") from error


def _data(catalog: CatalogProtocol) -> Path:
    """The environment's folder of data."""
    return catalog["dataset_card"].filepath.parents[1]


def _check_checksums(pipeline: Pipeline, catalog: CatalogProtocol, env: str | None) -> None:
    """Refuse what is not as an earlier pipeline wrote it."""
    for name in sorted(pipeline.inputs()):
        if found := changed_file(_data(catalog), name):
            path, maker = found
            command = _command({name}, catalog, env)
            raise InputError(f"{path}: was changed since {maker} wrote it; make it again with `{command}`")


def _check_sizes(catalog: CatalogProtocol, with_sweep: bool) -> None:
    """Refuse students that are not smaller than the teacher, which would otherwise be trained first.

    `with_sweep` refuses limits of the sweep, too, that none of them is within.
    """
    from projpipe.methods.method import sizes_of
    from projpipe.objectives import OBJECTIVES
    from projpipe.teacher.create import planned_spec

    extract_teacher, config = catalog.load("params:extract_teacher"), catalog.load("params:train_projector")
    teacher = planned_spec(extract_teacher)
    student = teacher.student(**config.student.model_dump(), place="train_projector.student")
    sizes = sizes_of(config, student, teacher)
    if with_sweep:
        from projpipe.experiments.sweep import within_limits

        every = [student] if sizes is None else sizes.every
        fewest = OBJECTIVES[extract_teacher.objective.name].fewest_classes
        within_limits(every, fewest, catalog.load("params:sweep_students"))


def _check_tasks(catalog: CatalogProtocol) -> None:
    """Refuse to draw tasks of fewer classes than the objective is for."""
    from projpipe.objectives import OBJECTIVES

    objective = OBJECTIVES[catalog.load("params:extract_teacher").objective.name]
    for position, draw in enumerate(catalog.load("params:split_tasks").tasks):
        if isinstance(draw, SampledTasks) and (fewest := draw.classes_per_task[0]) < objective.fewest_classes:
            raise InputError(
                f"split_tasks.tasks[{position}].classes_per_task: {fewest} is below the {objective.fewest_classes} "
                f"classes that {objective.name} needs; raise it"
            )


def _check_comparison(catalog: CatalogProtocol, with_teacher: bool) -> None:
    """Refuse a comparison that cannot be, `with_teacher` one for which the teacher would otherwise be trained first."""
    from projpipe.experiments.plan import check_sampled, check_trials, plan, with_any_rates
    from projpipe.objectives import OBJECTIVES
    from projpipe.teacher.create import planned_spec

    comparison = catalog.load("params:compare_methods").chosen
    trials = plan(comparison, with_any_rates(catalog.load("params:train_projector")))
    if with_teacher:
        teacher = catalog.load("params:extract_teacher")
        check_trials(trials, planned_spec(teacher), OBJECTIVES[teacher.objective.name])
        drawn = SplitTasksConfig.model_validate(catalog.load("params:split_tasks"))  # it may have run before
        check_sampled(comparison, drawn.held_out_tasks(comparison.sampled_from))


def _check_machine(config: RayConfig) -> None:
    """Refuse workers for which this machine has no room, where they are to run on it."""
    from torch.cuda import device_count

    from projpipe.training.cluster import allocate_workers

    if config.address is None:
        allocate_workers(config, {"CPU": os.cpu_count() or 1, "GPU": device_count()})


def _missing(pipeline: Pipeline, catalog: CatalogProtocol) -> set[str]:
    return {name for name in pipeline.inputs() if not name.startswith("param") and not catalog.exists(name)}


def _command(datasets: set[str], catalog: CatalogProtocol, env: str | None) -> str:
    """The command that makes data sets, and before them whatever else is not there for their pipelines."""
    pipelines.set_requested(None)  # a run of some pipelines has found only those
    makers: set[str] = set()
    wanted = datasets
    while wanted:
        found = {name for name in ORDER if name not in makers and wanted & pipelines[name].all_outputs()}
        makers |= found
        wanted = {name for maker in found for name in _missing(pipelines[maker], catalog)}
    return f"kedro run {f'--env {env} ' if env else ''}--pipelines {','.join(name for name in ORDER if name in makers)}"
