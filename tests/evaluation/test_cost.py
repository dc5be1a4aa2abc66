import json

import pytest
import timm

from projpipe.errors import InputError
from projpipe.evaluation.cost import Cost, Costs, deployed_cost
from projpipe.objectives import Classification


@pytest.mark.parametrize("class_token", [True, False])
def test_a_small_vit_costs_what_the_formula_says(class_token: bool) -> None:
    width, depth, heads, hidden, patch, classes = 24, 3, 2, 48, 2, 7
    pooling = {} if class_token else {"class_token": False, "global_pool": "avg", "fc_norm": False}
    model = timm.create_model(
        "vit_tiny_patch16_224",
        img_size=8,
        patch_size=patch,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=hidden / width,
        in_chans=3,
        num_classes=classes,
        **pooling,
    ).eval()
    patches = (8 // patch) ** 2
    tokens = patches + class_token
    attention = 2 * tokens * tokens * width  # queries by keys, then weights by values, over all heads
    block = tokens * (4 * width * width + 2 * width * hidden) + attention
    macs = patches * 3 * patch**2 * width + depth * block + width * classes

    block_params = 4 * width * width + 2 * width * hidden + 4 * width + hidden + width + 4 * width
    params = (3 * patch**2 + 1) * width + (tokens + class_token) * width + depth * block_params
    params += 2 * width + (width + 1) * classes

    objective = Classification(3 * [0.5], 3 * [0.5], (3, 8, 8))
    assert deployed_cost(model, objective) == Cost(params, macs)


def test_costs_come_back_from_json() -> None:
    costs = Costs(teacher=Cost(params=1000, macs=8000), projected=Cost(params=100, macs=400))
    written = json.dumps(costs.to_json())
    assert written == '{"teacher": {"params": 1000, "macs": 8000}, "projected": {"params": 100, "macs": 400}}'
    assert Costs.from_json(json.loads(written)) == costs


def test_a_cost_that_is_no_number_is_named() -> None:
    with pytest.raises(InputError, match=r'static\.macs: "many" is not a whole number'):
        Costs.from_json({"static": {"params": 1, "macs": "many"}})
