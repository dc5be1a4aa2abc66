import pytest
from hypothesis import given
from hypothesis import strategies as st

from projpipe.config import HeldOutClasses
from projpipe.errors import InputError
from projpipe.tasks.classes import Classes, hold_out

SHOP = Classes(["Bag", "Coat", "Dress", "Boot", "Sandal", "Sneaker"], ["", "", "", "", "", ""])
LETTERS = Classes(
    [f"{g}/{i}" for g in ("Greek", "Latin", "Korean") for i in range(4)], ["Greek"] * 4 + ["Latin"] * 4 + ["Korean"] * 4
)


def test_classes_are_found_by_name_and_groups_stand_for_all_their_classes() -> None:
    assert SHOP.find(["Sneaker", "Bag", "Bag"], "here") == (0, 5)
    assert LETTERS.find(["Latin", "Greek/2", "Latin/1"], "here") == (2, 4, 5, 6, 7)
    assert LETTERS.by_group([9, 1, 0]) == {"Greek": (0, 1), "Korean": (9,)}


@pytest.mark.parametrize(
    ("classes", "name", "message"),
    [
        (SHOP, "Bagg", "place: 'Bagg' is neither a class nor a group of the data; did you mean 'Bag'\\?"),
        (LETTERS, "Greec", "did you mean 'Greek'\\?"),
        (SHOP, "", "place: '' is neither .* there are Bag, Coat, Dress and others"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(classes: Classes, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        classes.find(["Bag", name] if classes is SHOP else [name], "place")


def test_classes_are_held_out_by_name() -> None:
    assert hold_out(SHOP, HeldOutClasses(names=("Sneaker", "Coat")), 0) == (1, 5)
    assert hold_out(LETTERS, HeldOutClasses(names=("Korean",)), 0) == (8, 9, 10, 11)
    assert hold_out(SHOP, HeldOutClasses(), 0) == ()


@given(count=st.integers(0, 4), seed=st.integers(0, 1000))
def test_a_count_holds_out_that_many_classes_by_the_seed(count: int, seed: int) -> None:
    chosen = hold_out(SHOP, HeldOutClasses(count=count), seed)
    assert len(set(chosen)) == count
    assert chosen == tuple(sorted(chosen)) == hold_out(SHOP, HeldOutClasses(count=count), seed)


def test_another_seed_holds_out_other_classes() -> None:
    assert len({hold_out(SHOP, HeldOutClasses(count=2), seed) for seed in range(50)}) > 5


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), data=st.data(), seed=st.integers(0, 1000))
def test_a_count_takes_whole_groups_and_the_rest_from_one_more(
    sizes: list[int], data: st.DataObject, seed: int
) -> None:
    groups = [f"group {g}" for g, size in enumerate(sizes) for _ in range(size)]
    count = data.draw(st.integers(0, max(0, len(groups) - 2)))
    if len(groups) < 2:
        return
    classes = Classes([str(i) for i in range(len(groups))], groups)
    chosen = hold_out(classes, HeldOutClasses(count=count), seed)
    assert len(set(chosen)) == count
    partly = [ids for ids in classes.by_group().values() if 0 < len(set(ids) & set(chosen)) < len(ids)]
    assert len(partly) <= 1


def test_four_of_three_groups_of_four_is_one_whole_group() -> None:
    for seed in range(20):
        assert hold_out(LETTERS, HeldOutClasses(count=4), seed) in LETTERS.by_group().values()


@pytest.mark.parametrize(
    ("held_out", "count"),
    [(HeldOutClasses(count=5), 5), (HeldOutClasses(count=9), 9), (HeldOutClasses(names=tuple(SHOP.names)), 6)],
)
def test_holding_out_nearly_all_classes_is_refused(held_out: HeldOutClasses, count: int) -> None:
    with pytest.raises(InputError, match=f"holding out {count} of 6 classes leaves fewer than two to train on"):
        hold_out(SHOP, held_out, 0)


@given(seed=st.integers(0, 1000), count=st.integers(1, 5))
def test_classes_to_choose_by_are_others_than_those_to_judge_on(seed: int, count: int) -> None:
    judged = hold_out(LETTERS, HeldOutClasses(count=4), seed)
    chosen_by = hold_out(LETTERS, HeldOutClasses(count=count), seed, "validation_classes", without=judged)
    assert len(chosen_by) == count
    assert set(judged).isdisjoint(chosen_by)


def test_a_class_cannot_be_held_out_for_both_and_two_must_stay() -> None:
    def choose_by(**asked: object) -> tuple[int, ...]:
        return hold_out(SHOP, HeldOutClasses(**asked), 0, "validation_classes", without=(0, 1))

    with pytest.raises(
        InputError, match=r"validation_classes\.names: 'Coat' is held out to be judged on; name it in one"
    ):
        choose_by(names=["Coat", "Boot"])
    with pytest.raises(InputError, match="validation_classes: holding out 5 of 6 classes leaves fewer than two"):
        choose_by(count=3)
