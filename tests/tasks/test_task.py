from projpipe.schemas import TASKS
from projpipe.tasks.classes import Classes
from projpipe.tasks.task import NAME_LENGTH, Task, name_of, sorts_of, task_table

SHOP = Classes(["Bag", "Coat", "Dress"], ["", "", ""])
LETTERS = Classes(
    [f"{g}/character{i:02}" for g in ("Greek", "Latin") for i in range(24)], ["Greek"] * 24 + ["Latin"] * 24
)


def test_a_name_is_the_class_names_while_they_are_few() -> None:
    assert name_of([0, 1], SHOP) == "Bag, Coat"
    assert name_of([1, 3], LETTERS) == "Greek: character01, character03"
    assert name_of([1, 27], LETTERS) == "Greek/character01, Latin/character03"


def test_a_long_name_is_cut_and_counted() -> None:
    assert name_of(range(1, 13), LETTERS) == "Greek: character01, character02, … (12)"
    assert name_of(range(20, 28), LETTERS) == "Greek/character20, Greek/character21, … (8)"
    assert name_of(range(24), LETTERS) == "Greek (24)"
    assert len(name_of([0, 1], Classes(["very " * 20, "long"], ["", ""]))) > NAME_LENGTH  # one name is always shown


def test_the_table_keeps_the_order_and_gives_every_task_its_own_name() -> None:
    tasks = [
        Task((0, 1), "train", "random"),
        Task((0, 2), "train", "explicit", "Mine", weight=2.5),
        Task((1, 2), "new_class", "explicit", "Mine"),
    ]
    table = task_table(tasks, SHOP)
    TASKS.validate(table)
    assert table["task_id"].tolist() == [0, 1, 2]
    assert table["name"].tolist() == ["Bag, Coat", "Mine", "Mine #2"]
    assert table["class_ids"].tolist() == [[0, 1], [0, 2], [1, 2]]
    assert table["kind"].tolist() == ["train", "train", "new_class"]
    assert table["strategy"].tolist() == ["random", "explicit", "explicit"]
    assert table["weight"].tolist() == [1.0, 2.5, 1.0]


def test_tasks_are_of_one_sort_by_kind_and_whether_they_belong_together() -> None:
    kinds = [("new_combination", "group"), ("new_combination", "explicit"), ("new_combination", "random")]
    tasks = [Task((0, class_id), kind, strategy) for class_id, (kind, strategy) in enumerate(kinds, start=1)]
    table = task_table([*tasks, Task((1, 2), "new_class", "group")], LETTERS)
    assert sorts_of(table) == [
        "new_combination, coherent",
        "new_combination, coherent",
        "new_combination, random",
        "new_class, coherent",
    ]
