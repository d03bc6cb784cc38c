"""Models and machines on their way to a student's function: by value, with their parts."""

import json

import pytest

from gqa_lib.configs import LayerKV, ModelConfig, Weights, all_models
from gqa_lib.hardware import datasheet
from grading.safe.records import record_of
from grading.student import serve
from grading.student.wire import pack, unpack


def there(value):
    """What a record is on the other side, through the text that travels."""

    def resolve(reference):
        return serve._record(reference["record"], unpack(reference["fields"], [], resolve))

    return unpack(json.loads(json.dumps(pack(value, [], record_of))), [], resolve)


def test_every_model_of_the_table_arrives_as_it_was():
    for config in all_models():
        assert there(config) == config
        assert there(config).kv_layers == config.kv_layers


def test_weights_and_machines_arrive_too():
    weights = Weights(30, embedding=10)
    config = ModelConfig("m", 1, 2, 1, 4, 8, layers=(LayerKV("full", 1, 4, 4),), weights=weights)
    assert there(config).weights == weights
    assert there([config, datasheet("T4")]) == [config, datasheet("T4")]


def test_nothing_else_travels_within_a_record():
    config = ModelConfig("m", 1, 2, 1, 4, 8, notes=object())
    with pytest.raises(TypeError, match="a object in a record cannot"):
        there(config)
