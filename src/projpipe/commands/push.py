"""`projpipe push`: a model or a projector onto the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import click

from projpipe.commands.arguments import Folder, as_json


@click.command(short_help="Put a model or a projector onto the Hugging Face hub.")
@click.argument("folder", metavar="MODEL_OR_PROJECTOR", type=Folder())
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
    from projpipe.hub import check_name, upload

    check_name(repository)
    from projpipe.commands.output import show
    from projpipe.manifest import CARD, files_of
    from projpipe.places import kind_at
    from projpipe.projection.projector_card import projector_card
    from projpipe.projection.projector_folder import load_projector
    from projpipe.students.student import load_student

    files: dict[str, Path | bytes] = {}
    kind = kind_at(folder)
    if kind == "projector":
        files[CARD] = projector_card(load_projector(folder)).encode()  # where it was packed, its own takes the place
    else:
        load_student(folder)
    files |= {path.name: path for path in files_of(folder, kind)}
    address = upload(repository, files, private, revision)
    name = f"hf-hub:{repository}{'' if revision is None else f'@{revision}'}"
    show({"name": name, "commit": address}, as_json, [[f"{name}: {address}"]])
