"""`projpipe push`: a model or a projector onto the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import click

from projpipe.commands.arguments import as_json


@click.command()
@click.argument("folder", metavar="MODEL_OR_PROJECTOR", type=click.Path(path_type=Path))
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Make the repository a private one, where it is not there yet.")
@click.option("--revision", help="A branch, which is made where it is not there yet.  [default: the main one]")
@as_json
def push(folder: Path, repository: str, private: bool, revision: str | None, as_json: bool) -> None:
    """Put a model or a projector onto the Hugging Face hub, with its model card.

    The token is that of `hf auth login`, or of HF_TOKEN. Nothing of the folder is uploaded but what projpipe wrote. It
    is then read as hf-hub:OWNER/NAME by every command, a model by timm too.

    \b
    projpipe push model me/three-cats --private
    projpipe predict hf-hub:me/three-cats cat.png
    """
    from projpipe.commands.output import show
    from projpipe.hub import FILES, upload
    from projpipe.manifest import CARD, MANIFEST, kind_of
    from projpipe.places import located
    from projpipe.projection.projector_card import projector_card
    from projpipe.projection.projector_folder import load_projector
    from projpipe.students.student import load_student

    place = located(folder)
    files: dict[str, Path | bytes] = {}
    kind = "projector" if kind_of(place) == "projector" else "model"
    if kind == "projector":
        files[CARD] = projector_card(load_projector(place)).encode()  # where it was packed, its own takes the place
    else:
        load_student(place)
    files |= {name: place / name for name in (MANIFEST, *FILES[kind]) if (place / name).is_file()}
    address = upload(repository, files, private, revision)
    name = f"hf-hub:{repository}{'' if revision is None else f'@{revision}'}"
    show({"name": name, "commit": address}, as_json, [[f"{name}: {address}"]])
