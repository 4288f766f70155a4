"""The notebook runs on what the pipeline makes, stays thin, and keeps no output in git."""

import nbclient
import nbformat
import pytest
from repositories import ROOT, run

NAME = "notebooks/explore.ipynb"


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebook_is_thin_and_keeps_no_output():
    """It reads and shows: what is computed has its place in a stage."""
    cells = code(nbformat.read(ROOT / NAME, as_version=4))
    assert 5 <= len(cells) <= 12
    for cell in cells:
        assert cell.outputs == []
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= 8, cell.source
        assert not {"whence", "stages", "sklearn", "torch"} & set(cell.source.replace(".", " ").split()), cell.source


@pytest.mark.pipeline
def test_the_notebook_runs_from_top_to_bottom_and_changes_nothing(repository, tmp_path, monkeypatch):
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / "jupyter"))
    notebook = nbformat.read(repository / NAME, as_version=4)
    where = {"metadata": {"path": str((repository / NAME).parent)}}
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=300, resources=where).execute()
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    assert [output.text for output in outputs if output.output_type == "stream"] == [], "no warnings"
    shown = [output.data for output in outputs if output.output_type in ("display_data", "execute_result")]
    pictures = sum("image/png" in data for data in shown)
    assert pictures == 6, "two galleries, spectra, maps, leaderboards, mistakes"
    tables = "".join(data.get("text/html", "") for data in shown)
    assert "imagenet" in tables
    assert "fake-spectrum-logistic" in tables
    assert run(repository, "git", "status", "--porcelain") == ""


@pytest.mark.pipeline
def test_without_outputs_the_notebook_names_the_way_out(repository):
    (repository / "data/cifake/images.npy").unlink()
    notebook = nbformat.read(repository / NAME, as_version=4)
    client = nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(repository)}})
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="run `make repro` first"):
        client.execute()
