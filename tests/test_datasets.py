import hashlib
import math
from importlib import resources

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.datasets import MNIST

import mnist_mlp.idx
from mnist_mlp import datasets
from mnist_mlp.errors import UserError
from tests import idx


def test_the_embedded_archives_are_the_published_ones():
    """The MD5 sums of the archives are those that torchvision lists."""
    folder = resources.files("mnist_mlp") / "mnist"

    for name, md5 in MNIST.resources:
        assert hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest() == md5


def test_mnist_is_whole(mnist):
    """MNIST has 60,000 and 10,000 samples, scaled to [0, 1], with labels 0 to 9."""
    for split, samples in ((mnist.train, 60_000), (mnist.test, 10_000)):
        assert split.inputs.shape == (samples, 784)
        assert split.inputs.dtype == torch.float32
        assert (split.inputs.min(), split.inputs.max()) == (0, 1)
        assert split.targets.dtype == torch.int64
        assert split.targets.unique().tolist() == list(range(10))


def test_resident_images_equal_what_totensor_makes(mnist):
    """All engines train on the same numbers, bit for bit, also in a part of a split."""
    for split in (mnist.train, mnist.train.head(3), mnist.train.part(torch.tensor([5, 0]))):
        assert len(split) == len(split.dataset)
        for index in (0, 1, len(split) - 1):
            image, label = split.dataset[index]
            assert torch.equal(image.flatten(), split.inputs[index])
            assert label == split.targets[index]


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
@pytest.mark.parametrize("inside", [False, True], ids=["root", "its_own_folder"])
def test_a_folder_in_torchvisions_layout_is_loaded(tmp_path, name, inside):
    """`data_root` may be the root, or the data set's own folder."""
    idx.write_dataset(tmp_path / name / "raw", train=30, test=20)

    loaded = datasets.load(data_root=tmp_path / name if inside else tmp_path)

    assert loaded.name == name
    assert (len(loaded.train), len(loaded.test)) == (30, 20)


@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=3), data=st.data())
def test_an_idx_file_is_read_whole_or_refused(tmp_path_factory, shape, data):
    """A whole file gives what was written; a file that is cut off anywhere is refused."""
    file = tmp_path_factory.mktemp("idx") / "file"
    values = torch.arange(math.prod(shape), dtype=torch.uint8).view(shape)
    idx.write(file, values)
    content = file.read_bytes()

    assert torch.equal(mnist_mlp.idx.read(file), values)
    file.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(ValueError, match="file "):
        mnist_mlp.idx.read(file)


def test_a_root_without_a_single_data_set_is_refused(tmp_path):
    """The error for a wrong root says what it must hold, or names the data sets in it."""
    with pytest.raises(UserError, match="holds no folder NAME/raw"):
        datasets.load(data_root=tmp_path)
    for name in ("MNIST", "KMNIST"):
        idx.write_dataset(tmp_path / name / "raw", train=3, test=2)
    with pytest.raises(UserError, match="several data sets, MNIST, KMNIST"):
        datasets.load(data_root=tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("train-images-idx3-ubyte", None, "cannot read MNIST in {folder}"),
        ("train-images-idx3-ubyte", b"no images", "cannot read MNIST in {folder}"),
        ("train-images-idx3-ubyte", torch.zeros(30, 8, 8), "28x28"),
        ("train-labels-idx1-ubyte", torch.zeros(29), "one label from 0 to 9 for each image"),
        ("train-labels-idx1-ubyte", torch.full((30,), 10), "one label from 0 to 9 for each image"),
    ],
    ids=["missing", "nonsense", "wrong_shape", "label_missing", "label_out_of_range"],
)
def test_files_that_the_network_cannot_take_are_refused(tmp_path, file, content, sentence):
    """Unusable files are an error before any training; damage is named with the folder."""
    raw = tmp_path / "MNIST" / "raw"
    idx.write_dataset(raw, train=30, test=20)
    (raw / file).unlink()
    if isinstance(content, bytes):
        (raw / file).write_bytes(content)
    elif content is not None:
        idx.write(raw / file, content.byte())

    with pytest.raises(UserError, match=sentence.format(folder=tmp_path)):
        datasets.load(data_root=tmp_path)
