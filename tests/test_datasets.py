import hashlib
import math
import subprocess
import sys
from importlib import resources

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.datasets import MNIST

import mnist_mlp.idx
from mnist_mlp import datasets
from mnist_mlp.idx import IdxError
from tests import idx


def test_the_embedded_archives_are_the_published_ones():
    """Byte for byte: the MD5 sums are torchvision's."""
    folder = resources.files("mnist_mlp") / "mnist"

    for name, md5 in MNIST.resources:
        assert hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest() == md5


def test_mnist_is_whole(mnist):
    """60,000 and 10,000 samples, scaled to [0, 1], with labels 0 to 9."""
    for split, samples in ((mnist.train, 60_000), (mnist.test, 10_000)):
        assert split.images.shape == (samples, 784)
        assert split.images.dtype == torch.float32
        assert (split.images.min(), split.images.max()) == (0, 1)
        assert split.labels.dtype == torch.int64
        assert split.labels.unique().tolist() == list(range(10))


def test_resident_images_equal_what_totensor_makes(mnist):
    """Bit for bit, so that all engines train on the same numbers."""
    for index in (0, 1, 59_999):
        image, label = mnist.train.dataset[index]
        assert torch.equal(image.flatten(), mnist.train.images[index])
        assert label == mnist.train.labels[index]


def test_a_head_holds_the_same_samples_twice(mnist):
    """The resident part and the torchvision part are cut alike, the whole left alone."""
    head = mnist.train.head(3)

    assert len(head) == len(head.dataset) == 3
    assert torch.equal(head.dataset[2][0].flatten(), head.images[2])
    assert len(mnist.train.dataset) == 60_000


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
@pytest.mark.parametrize("inside", [False, True], ids=["root", "its_own_folder"])
def test_a_folder_in_torchvisions_layout_is_loaded(tmp_path, name, inside):
    """Named by its root, or by itself."""
    idx.write_dataset(tmp_path / name / "raw", train=30, test=20)

    loaded = datasets.load(data_root=tmp_path / name if inside else tmp_path)

    assert loaded.name == name
    assert (len(loaded.train), len(loaded.test)) == (30, 20)


@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=3), data=st.data())
def test_an_idx_file_is_read_whole_or_refused(tmp_path_factory, shape, data):
    """As it was written; cut off anywhere, it is refused."""
    file = tmp_path_factory.mktemp("idx") / "file"
    values = torch.arange(math.prod(shape), dtype=torch.uint8).view(shape)
    idx.write(file, values)
    content = file.read_bytes()

    assert torch.equal(mnist_mlp.idx.read(file), values)
    file.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(IdxError):
        mnist_mlp.idx.read(file)


def test_data_and_training_need_no_torchvision():
    """Importing it takes as long as importing torch, and only the loader engine needs it."""
    code = (
        "import sys; from mnist_mlp import datasets, training; datasets.load(); "
        "sys.exit('torchvision' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_several_data_sets_in_one_root_are_refused_by_name(tmp_path):
    """The sentence names those it found."""
    for name in ("MNIST", "KMNIST"):
        idx.write_dataset(tmp_path / name / "raw", train=3, test=2)

    with pytest.raises(datasets.DataError, match="several data sets, MNIST, KMNIST"):
        datasets.load(data_root=tmp_path)


def test_an_empty_root_is_refused(tmp_path):
    """The sentence says what the folder must hold."""
    with pytest.raises(datasets.DataError, match="holds no folder NAME/raw"):
        datasets.load(data_root=tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("train-images-idx3-ubyte", None),
        ("train-images-idx3-ubyte", b""),
        ("train-images-idx3-ubyte", b"no images"),
        ("t10k-labels-idx1-ubyte", b"\x00\x00\x08\x01\x00\x00\x00\x05abc"),
    ],
    ids=["missing", "empty", "nonsense", "truncated"],
)
def test_damaged_files_are_refused_in_a_sentence(tmp_path, file, content):
    """Whatever is wrong with a file, the error names the data set and the folder."""
    raw = tmp_path / "MNIST" / "raw"
    idx.write_dataset(raw, train=30, test=20)
    (raw / file).unlink()
    if content is not None:
        (raw / file).write_bytes(content)

    with pytest.raises(datasets.DataError, match=f"cannot read MNIST in {tmp_path}"):
        datasets.load(data_root=tmp_path)


@pytest.mark.parametrize(
    ("file", "tensor", "sentence"),
    [
        ("train-images-idx3-ubyte", torch.zeros(30, 8, 8), "28x28"),
        ("train-labels-idx1-ubyte", torch.zeros(29), "one label from 0 to 9 for each image"),
        ("train-labels-idx1-ubyte", torch.full((30,), 10), "one label from 0 to 9 for each image"),
    ],
    ids=["wrong_shape", "label_missing", "label_out_of_range"],
)
def test_data_that_the_network_cannot_take_is_refused(tmp_path, file, tensor, sentence):
    """Before anything is trained."""
    raw = tmp_path / "MNIST" / "raw"
    idx.write_dataset(raw, train=30, test=20)
    idx.write(raw / file, tensor.byte())

    with pytest.raises(datasets.DataError, match=sentence):
        datasets.load(data_root=tmp_path)
