"""The sweep's parts: which sizes it may propose, who proposes them, and which results are on the front."""

from itertools import product
from typing import Any

import optuna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from optuna.samplers import NSGAIISampler, RandomSampler, TPESampler

from projpipe.config import StudentConfig, StudentSpace
from projpipe.errors import InputError
from projpipe.experiments.sweep import _dominates, ask_new, check_space, make_sampler, sizes, suggest
from projpipe.metric import ACCURACY
from projpipe.projection.source import Source

SPACE: dict[str, Any] = {"embed_dim": [8, 12], "depth": [1, 2], "num_heads": [2, 3], "mlp_ratio": [1.0, 1.5]}
ROW = {"embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 1.0}


def space(**changes: Any) -> StudentSpace:
    return StudentSpace(**{**SPACE, **changes})


def test_a_space_is_accepted_where_each_of_its_sizes_makes_a_student_smaller_than_the_teacher(source: Source) -> None:
    def smaller(space: StudentSpace) -> bool:
        students = [source.spec.student(**size.model_dump()) for size in sizes(space)]
        return all(student.block_params() < source.spec.block_params() for student in students)

    check_space(largest := space(embed_dim=[12, 24], depth=[1, 4], mlp_ratio=[1.0, 1.9]), source.spec)
    assert smaller(largest)
    with pytest.raises(InputError, match="24 wide x 4 deep, mlp_ratio 2: .* block parameters, its teacher has"):
        check_space(space(embed_dim=[12, 24], depth=[1, 4], mlp_ratio=[1.0, 2.0]), source.spec)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dim": [12, 7]}, r"space: embed_dim 7 is divisible by none of num_heads \[2, 3\]; change one of them"),
        (
            {"embed_dim": [12, 48]},
            "sweep_students.space: 48 wide .*: wider or deeper than its teacher .*make it smaller",
        ),
        ({"depth": [2, 5]}, "sweep_students.space: 8 wide x 5 deep.*: wider or deeper than its teacher"),
        ({"mlp_ratio": [1.0, 40.0]}, "mlp_ratio 40: .* block parameters, its teacher has .*make the student smaller"),
        ({"mlp_ratio": [0.01]}, "leaves no hidden unit in the MLP; raise mlp_ratio"),
    ],
)
def test_a_space_with_a_size_that_cannot_be_trained_is_refused(
    changes: dict[str, Any], message: str, source: Source
) -> None:
    with pytest.raises(InputError, match=message):
        check_space(space(**changes), source.spec)


SPACES = st.builds(
    StudentSpace,
    embed_dim=st.lists(st.integers(1, 24), min_size=1, max_size=4, unique=True),
    depth=st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True),
    num_heads=st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True),
    mlp_ratio=st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=1, max_size=3, unique=True),
)


@given(SPACES, st.integers(0, 1000))
def test_every_suggestion_lies_in_the_space_and_divides_into_whole_heads(space: StudentSpace, seed: int) -> None:
    assume(all(any(width % heads == 0 for heads in space.num_heads) for width in space.embed_dim))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=RandomSampler(seed=seed), directions=["maximize", "minimize"])
    for _ in range(3):
        student = suggest(study.ask(), space)
        assert student.embed_dim % student.num_heads == 0
        for name, value in student.model_dump().items():
            assert value in getattr(space, name)


def test_every_size_that_divides_is_suggested_sooner_or_later() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=RandomSampler(seed=0), directions=["maximize", "minimize"])
    suggested = {tuple(suggest(study.ask(), space()).model_dump().values()) for _ in range(150)}
    assert suggested == {size for size in product(*SPACE.values()) if size[0] % size[2] == 0}


@pytest.mark.parametrize(("name", "kind"), [("tpe", TPESampler), ("nsga2", NSGAIISampler), ("random", RandomSampler)])
def test_a_sampler_is_found_by_name_and_fixed_by_its_seed(name: str, kind: type) -> None:
    def propose(seed: int) -> list[StudentConfig]:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=make_sampler(name, seed, 12), directions=["maximize", "minimize"])
        proposed = []
        for accuracy in range(8):
            trial = study.ask()
            proposed.append(suggest(trial, space()))
            study.tell(trial, [accuracy / 8, proposed[-1].embed_dim])
        return proposed

    assert type(make_sampler(name, 0, 12)) is kind
    assert propose(0) == propose(0)
    assert propose(0) != propose(1)


RESULTS = st.lists(st.tuples(st.sampled_from([0.5, 0.6, 0.7, 0.8]), st.integers(1, 5)), min_size=1, max_size=12)


@given(RESULTS)
def test_the_front_is_that_of_optuna(results: list[tuple[float, int]]) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials([optuna.trial.create_trial(values=result) for result in results])
    rows = [{**ROW, "validation_score": accuracy, "params": params} for accuracy, params in results]
    front = [i for i, row in enumerate(rows) if not any(_dominates(other, row, ACCURACY) for other in rows)]
    assert front == sorted(trial.number for trial in study.best_trials)


@given(RESULTS)
def test_what_is_not_on_the_front_is_beaten_in_one_objective_and_not_better_in_the_other(
    results: list[tuple[float, int]],
) -> None:
    rows = [{"validation_score": accuracy, "params": params} for accuracy, params in results]
    for row, (accuracy, params) in zip(rows, results, strict=True):
        beaten = any((a > accuracy and p <= params) or (a >= accuracy and p < params) for a, p in results)
        assert any(_dominates(other, row, ACCURACY) for other in rows) == beaten


class Stubborn(RandomSampler):
    """Proposes the first of all choices, whatever came of it before."""

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return param_distribution.choices[0]


@pytest.mark.parametrize("sampler", [TPESampler(seed=0, n_startup_trials=2), NSGAIISampler(seed=0), Stubborn()])
def test_no_size_is_asked_for_twice_until_all_are_tried(sampler: optuna.samplers.BaseSampler) -> None:
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
    tried: list[StudentConfig] = []
    while len(tried) < len(sizes(space())):
        for trial, student in ask_new(study, space(), tried, 2):
            study.tell(trial, [float(student.embed_dim), 1.0])  # one choice is always better
            tried.append(student)
    assert sorted(map(str, tried)) == sorted(map(str, sizes(space())))


def test_sizes_are_all_that_divide_into_whole_heads() -> None:
    assert len(sizes(space(num_heads=[2, 3]))) == 2 * 2 * 2 + 2 * 2  # 8 does not divide into 3 heads
    assert all(size.embed_dim % size.num_heads == 0 for size in sizes(space()))
