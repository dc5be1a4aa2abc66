from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from projpipe.config import ExplicitTask, SampledTasks, WholeGroups
from projpipe.errors import InputError
from projpipe.tasks.classes import Classes
from projpipe.tasks.draw import check_known, sample_tasks
from projpipe.tasks.task import Task

DIGITS = Classes([str(i) for i in range(10)], [""] * 10)
LETTERS = Classes(
    [f"{g}/{i}" for g in ("Greek", "Latin", "Korean") for i in range(20)],
    ["Greek"] * 20 + ["Latin"] * 20 + ["Korean"] * 20,
)
KOREAN = tuple(range(40, 60))


def draw(strategy: str = "random", low: int = 2, high: int = 5, **counts: int) -> SampledTasks:
    return SampledTasks(strategy=strategy, classes_per_task=(low, high), counts=counts)


def explicit(kind: str, *classes: str, name: str = "mine") -> ExplicitTask:
    return ExplicitTask(strategy="explicit", kind=kind, name=name, classes=classes)


def sets(tasks: list[Task], kind: str | None = None) -> list[tuple[int, ...]]:
    return [task.classes for task in tasks if kind in (None, task.kind)]


FEW = {"train": 1, "validation": 1, "new_combination": 1}
WHOLE = {"strategy": "whole_groups", "weight": 3.0}


@given(
    train=st.integers(1, 60),
    new=st.integers(0, 4),
    judged=st.integers(1, 20),
    held_out=st.sets(st.integers(0, 9), min_size=3, max_size=3),
    seed=st.integers(0, 2**31 - 1),
)
def test_tasks_are_distinct_and_held_out_classes_are_in_new_class_tasks_only(
    train: int, new: int, judged: int, held_out: set[int], seed: int
) -> None:
    draws = [draw(train=train, validation=5, new_combination=judged, new_class=new)]
    tasks = sample_tasks(DIGITS, sorted(held_out), draws, seed)
    assert len(set(sets(tasks))) == len(tasks) == train + 5 + judged + new
    assert len(sets(tasks, "train")) == train
    for task in tasks:
        assert list(task.classes) == sorted(set(task.classes))
        assert 2 <= len(task.classes) <= 5
        assert set(task.classes) <= held_out if task.kind == "new_class" else held_out.isdisjoint(task.classes)
    assert tasks == sample_tasks(DIGITS, sorted(held_out), draws, seed)


@given(seed=st.integers(0, 1000), low=st.integers(2, 4), extra=st.integers(0, 20))
def test_group_tasks_stay_within_a_group(seed: int, low: int, extra: int) -> None:
    counts = {"train": 20, "validation": 5, "new_combination": 5, "new_class": 5}
    tasks = sample_tasks(LETTERS, KOREAN, [draw("group", low, low + extra, **counts), draw(train=10)], seed)
    for task in tasks:
        groups = {LETTERS.groups[class_id] for class_id in task.classes}
        assert task.strategy == "random" or len(groups) == 1
        assert (groups == {"Korean"}) == (task.kind == "new_class")
    assert [task.kind for task in tasks] == sorted((t.kind for t in tasks), key=list(counts).index)


def test_all_sets_there_are_can_be_asked_for() -> None:
    tasks = sample_tasks(DIGITS, (7, 8, 9), [draw(train=90, validation=12, new_combination=10, new_class=4)], 0)
    known = {task for size in range(2, 6) for task in combinations(range(7), size)}
    assert len(known) == 112
    assert set(sets(tasks)) == known | {(7, 8), (7, 9), (8, 9), (7, 8, 9)}


def test_sizes_are_equally_likely_though_most_sets_are_large() -> None:
    tasks = sample_tasks(LETTERS, (), [draw(high=21, train=2000, validation=1, new_combination=1)], 0)
    sizes = [len(classes) for classes in sets(tasks, "train")]
    assert all(60 <= sizes.count(size) <= 140 for size in range(2, 22))


def test_one_set_too_many_is_refused_with_the_numbers() -> None:
    with pytest.raises(InputError, match=r"tasks\[0\].counts \(random, 2 to 5 classes of 7 known ones\)") as raised:
        sample_tasks(DIGITS, (7, 8, 9), [draw(train=91, validation=12, new_combination=10)], 0)
    assert "asks for 10 new_combination + 12 validation + 91 train tasks, but only 112 distinct ones exist;" in str(
        raised.value
    )
    with pytest.raises(
        InputError, match="3 held-out ones.: asks for 5 new_class tasks, but only 4 .* name more held_out_classes"
    ):
        sample_tasks(DIGITS, (7, 8, 9), [draw(**FEW, new_class=5)], 0)
    with pytest.raises(InputError, match="0 held-out ones.: asks for 1 new_class tasks, but only 0"):
        sample_tasks(DIGITS, (), [draw(**FEW, new_class=1)], 0)


def test_sets_that_other_draws_took_are_not_counted_again() -> None:
    pairs = draw(high=2, train=18, validation=1, new_combination=1)
    tasks = sample_tasks(DIGITS, (7, 8, 9), [pairs, explicit("train", "0", "1")], 0)
    assert len(set(sets(tasks))) == 21
    with pytest.raises(InputError, match=r"only 20 distinct ones exist besides 1 that other draws took"):
        sample_tasks(
            DIGITS, (7, 8, 9), [draw(high=2, train=19, validation=1, new_combination=1), explicit("train", "0", "1")], 0
        )


def test_group_draws_come_before_random_ones_that_have_more_to_choose_from() -> None:
    small = Classes([str(i) for i in range(9)], ["a"] * 3 + ["b"] * 3 + ["c"] * 3)
    for seed in range(20):
        tasks = sample_tasks(
            small,
            (),
            [draw(high=3, train=60, validation=20, new_combination=20), draw("group", high=3, train=12)],
            seed,
        )
        assert len(set(sets(tasks))) == 112


def test_more_train_tasks_leave_the_held_out_ones_as_they_are() -> None:
    fewer, more = (
        sample_tasks(DIGITS, (7, 8, 9), [draw(train=n, validation=8, new_combination=9, new_class=3)], 1)
        for n in (10, 80)
    )
    for kind in ("validation", "new_combination", "new_class"):
        assert sets(fewer, kind) == sets(more, kind)
    assert sets(fewer, "train") == sets(more, "train")[:10]


def test_another_seed_draws_other_tasks() -> None:
    first, second = (
        sample_tasks(DIGITS, (), [draw(train=20, validation=5, new_combination=5)], seed) for seed in (0, 1)
    )
    assert first != second


def test_huge_numbers_of_sets_are_drawn_from_at_once() -> None:
    many = Classes([str(i) for i in range(2000)], [""] * 2000)
    tasks = sample_tasks(many, (), [draw(low=1000, high=1000, train=5, validation=1, new_combination=1)], 0)
    assert {len(classes) for classes in sets(tasks)} == {1000}


def test_draws_take_turns_within_a_kind() -> None:
    tasks = sample_tasks(LETTERS, (), [draw(train=2, validation=1, new_combination=1), draw("group", train=4)], 0)
    assert [t.strategy for t in tasks if t.kind == "train"] == ["random", "group", "random", "group", "group", "group"]


def test_explicit_tasks_keep_their_name_and_place() -> None:
    tasks = sample_tasks(LETTERS, KOREAN, [draw(**FEW), explicit("new_class", "Korean", name="all of it")], 0)
    assert tasks[-1] == Task(KOREAN, "new_class", "explicit", "all of it")


def test_one_class_alone_is_a_task_too() -> None:
    tasks = sample_tasks(DIGITS, (7, 8, 9), [draw(low=1, high=1, **FEW), explicit("train", "3", "3")], 0)
    assert {len(classes) for classes in sets(tasks)} == {1}
    assert (3,) in sets(tasks, "train")


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            ("train", "0", "00"),
            r"tasks\[1\] \('mine'\).classes: '00' is neither a class nor a group .* did you mean '0'\?",
        ),
        (("train", "3", "9"), "'9' is held out, so it cannot be in a train task"),
        (("new_combination", "7", "1"), "'7' is held out, so it cannot be in a new_combination task"),
        (("new_class", "8", "1"), "'1' is not held out, but a new_class task has only held-out classes"),
    ],
)
def test_an_explicit_task_that_is_none_is_refused(task: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sample_tasks(DIGITS, (7, 8, 9), [draw(**FEW), explicit(*task)], 0)


def test_the_same_explicit_task_twice_is_refused() -> None:
    twice = [explicit("train", "1", "2"), explicit("new_combination", "2", "1", name="again")]
    with pytest.raises(InputError, match=r"tasks\[2\] \('again'\).classes: an earlier task has the same classes"):
        sample_tasks(DIGITS, (), [draw(**FEW), *twice], 0)


def test_group_tasks_of_data_without_groups_are_refused() -> None:
    with pytest.raises(InputError, match=r"tasks\[0\].strategy: 'group' needs groups of classes, .* use 'random'"):
        sample_tasks(DIGITS, (), [draw("group", **FEW)], 0)


def test_a_known_class_that_nothing_trains_on_is_refused_where_it_is_judged() -> None:
    drawn = [explicit("train", "0", "1", "2"), explicit("validation", "0", "1"), explicit("new_class", "8", "9")]
    tasks = sample_tasks(DIGITS, (8, 9), drawn, 0)
    check_known(tasks, DIGITS)
    for kind in ("validation", "new_combination"):
        tasks = sample_tasks(DIGITS, (8, 9), [*drawn, explicit(kind, "2", "3", "5")], 0)
        with pytest.raises(InputError, match=r"2 classes \('3', '5'\) are in tasks of kind .* raise counts\.train"):
            check_known(tasks, DIGITS)


@pytest.mark.parametrize(
    ("counts", "purpose"),
    [
        ({"validation": 1, "new_class": 1}, "train"),
        ({"train": 1, "new_class": 1}, "validate"),
        ({"train": 1, "validation": 1}, "judge"),
    ],
)
def test_there_must_be_tasks_for_every_purpose(counts: dict[str, int], purpose: str) -> None:
    with pytest.raises(InputError, match=f"split_tasks.tasks: there is no task to {purpose} on"):
        sample_tasks(DIGITS, (7, 8, 9), [draw(**counts)], 0)


@pytest.mark.parametrize(
    ("new_classes", "expected"), [("of_known_groups", {0, 1, 20, 21}), ("of_new_groups", set(KOREAN))]
)
def test_new_classes_are_of_groups_that_are_known_or_of_new_ones(new_classes: str, expected: set[int]) -> None:
    held_out = (0, 1, 20, 21, *KOREAN)
    new = draw(low=2, high=4, new_class=6).model_copy(update={"new_classes": new_classes})
    tasks = sample_tasks(LETTERS, held_out, [draw(**FEW), new], seed=0)
    judged = sets(tasks, "new_class")
    assert len(judged) == 6
    assert {class_id for task in judged for class_id in task} <= expected


def test_more_tasks_than_the_new_classes_of_a_draw_have_are_refused() -> None:
    new = draw(new_class=2).model_copy(update={"new_classes": "of_known_groups"})
    with pytest.raises(InputError, match="2 to 5 classes of 2 held-out ones.* but only 1 distinct ones"):
        sample_tasks(LETTERS, (0, 1, *KOREAN), [draw(**FEW), new], seed=0)


@given(seed=st.integers(0, 1000))
def test_validation_classes_are_in_tasks_of_their_own_kind_only(seed: int) -> None:
    judged, chosen_by = (0, 1, 2), (7, 8, 9)
    draws = [draw(high=3, **FEW, new_class=2, validation_new_class=3)]
    tasks = sample_tasks(DIGITS, judged, draws, seed, chosen_by)
    for task in tasks:
        pool = {"new_class": judged, "validation_new_class": chosen_by}.get(task.kind, (3, 4, 5, 6))
        assert set(task.classes) <= set(pool)
    assert len(sets(tasks, "validation_new_class")) == 3
    without = [draw(high=3, **FEW, new_class=2)]
    assert sample_tasks(DIGITS, judged, without, seed, chosen_by) == tasks[:-3]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("train", "7", "'7' is held out, so it cannot be in a train task; .* or of validation_classes, or make .*"),
        (
            "new_class",
            "7",
            "'7' is held out, so it cannot be in a new_class task; .* the kind validation_new_class",
        ),
        ("validation_new_class", "4", "'4' is not held out, but a validation_new_class .* to validation_classes.names"),
    ],
)
def test_an_explicit_task_has_classes_of_its_kind(kind: str, name: str, message: str) -> None:
    task = ExplicitTask(strategy="explicit", kind=kind, name="mine", classes=[name])
    with pytest.raises(InputError, match=message):
        sample_tasks(DIGITS, (0, 1), [draw(**FEW), task], 0, (7, 8))


def test_whole_groups_are_to_train_on_and_have_their_known_classes() -> None:
    groups = Classes(list("abcdefgh"), ["x", "x", "x", "y", "y", "y", "z", ""])
    draws = [draw("group", low=2, high=3, validation=1, new_combination=2, new_class=1), WholeGroups(**WHOLE)]
    tasks = sample_tasks(groups, (4, 5), draws, 0)
    assert [task for task in tasks if task.kind == "train"] == [Task((0, 1, 2), "train", "group", weight=3.0)]
    assert {len(classes) for classes in sets(tasks, "new_combination")} == {2}
    with pytest.raises(InputError, match="'whole_groups' needs groups of classes, and the data has none"):
        sample_tasks(DIGITS, (), [draw(**FEW), WholeGroups(**WHOLE)], 0)


def test_an_explicit_task_is_not_made_again_of_its_whole_group() -> None:
    draws = [draw(**FEW), explicit("train", "Korean"), WholeGroups(**WHOLE)]
    assert sets(sample_tasks(LETTERS, (), draws, 0), "train").count(KOREAN) == 1


def test_train_tasks_alone_have_weights() -> None:
    weighted = SampledTasks(strategy="random", classes_per_task=(2, 5), counts=FEW, weight=2.0)
    named = ExplicitTask(strategy="explicit", kind="train", name="mine", classes=("0", "9"), weight=4.0)
    found = {(task.kind, task.strategy): task.weight for task in sample_tasks(DIGITS, (), [weighted, named], 0)}
    assert found == {
        ("train", "random"): 2.0,
        ("train", "explicit"): 4.0,
        ("validation", "random"): 1.0,
        ("new_combination", "random"): 1.0,
    }
    for refused in ({"kind": "new_class"}, {"kind": "validation"}):
        with pytest.raises(ValidationError, match="weight: 4 is for train tasks, and there is none"):
            ExplicitTask(**(named.model_dump() | refused))
    with pytest.raises(ValidationError, match="weight: 2 is for train tasks"):
        SampledTasks(**(weighted.model_dump() | {"counts": {"validation": 3}}))


def test_whole_groups_that_make_no_task_are_refused() -> None:
    with pytest.raises(InputError, match="no group with two known classes or more that has no task yet; remove this"):
        sample_tasks(LETTERS, (), [draw(**FEW), WholeGroups(**WHOLE), WholeGroups(**WHOLE)], 0)
