"""The faults in a card's metadata that the Hub's validator refuses, as far as its documentation states them."""

import re
from typing import Any

import yaml

LICENCES = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "gpl-3.0", "other", "unknown"}
REPOSITORY = re.compile(r"^[\w.-]+(/[\w.-]+)?$")
BLOCK = re.compile(r"^\s*---\r?\n([\S\s]*?)\r?\n---\s*(\r?\n|$)")


def card_metadata(content: str) -> dict[str, Any]:
    match = BLOCK.match(content)
    return (yaml.safe_load(match[1]) or {}) if match else {}


def card_errors(content: str, kind: str) -> list[str]:
    """Every fault of the card's metadata, worded as the client shows it."""
    try:
        metadata = card_metadata(content)
    except yaml.YAMLError as error:
        return [f"YAML Metadata Error: {error}"]
    if not isinstance(metadata, dict):
        return ["YAML Metadata Error: the metadata block is not a mapping"]
    errors = []
    if metadata.get("license", "other") not in LICENCES:
        errors.append(f'"license" must be one of {sorted(LICENCES)}')
    for key in ("tags", "datasets", "metrics"):
        values = metadata.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            errors.append(f'"{key}" must be an array of strings')
    if any(not REPOSITORY.match(name) for name in metadata.get("datasets", []) if isinstance(name, str)):
        errors.append('"datasets[0]" with value must be a valid repository identifier')
    if not isinstance(metadata.get("pipeline_tag", ""), str):
        errors.append('"pipeline_tag" must be a string')
    errors += _model_index_errors(metadata.get("model-index", []))
    return errors + (_config_errors(metadata.get("configs", [])) if kind == "dataset" else [])


def _model_index_errors(index: Any) -> list[str]:
    if not isinstance(index, list):
        return ['"model-index" must be an array']
    errors = []
    for place, model in enumerate(index):
        where = f'"model-index[{place}]'
        errors += [] if isinstance(model.get("name"), str) and model["name"] else [f'{where}.name" is required']
        for number, result in enumerate(model.get("results", [])):
            inside = f"{where}.results[{number}]"
            if not isinstance(result.get("task", {}).get("type"), str):
                errors.append(f'{inside}.task.type" is required')
            dataset = result.get("dataset", {})
            if not REPOSITORY.match(str(dataset.get("type", "/"))) or not isinstance(dataset.get("name"), str):
                errors.append(f'{inside}.dataset" needs a name and a repository identifier as type')
            for metric in result.get("metrics", [{}]):
                if not isinstance(metric.get("type"), str) or metric.get("value") is None:
                    errors.append(f'{inside}.metrics" need a type and a value')
    return errors


def _config_errors(configs: Any) -> list[str]:
    if not isinstance(configs, list):
        return ['"configs" must be an array']
    errors = []
    for config in configs:
        if not isinstance(config.get("config_name"), str):
            errors.append('"configs[].config_name" is required')
        for files in config.get("data_files", []):
            if not isinstance(files, dict) or not {"split", "path"} <= files.keys():
                errors.append('"configs[].data_files" need a split and a path')
            elif not re.match(r"^\w+(\.\w+)*$", files["split"]):
                errors.append(f'"configs[].data_files" has a split {files["split"]!r} that is not a name')
    return errors
