import pytest
import yaml

from hrob_assets.components.catalogue import SHARED_CODE_SETS
from hrob_assets.risk.features.catalogue.imputation import read_imputation
from hrob_assets.risk.features.catalogue.mappings import read_feature_mappings
from hrob_assets.risk.models.design_matrix import comparator_design
from hrob_assets.risk.use_case import UseCaseFiles, use_case_from
from hrob_assets.risk.vocabulary.code_set_files import read_code_sets
from hrob_assets_tests.paths import DEFS


@pytest.mark.parametrize("path", sorted(DEFS.glob("*/defs.yaml")), ids=lambda p: p.parent.name)
def test_every_shipped_use_case_has_a_free_comparator_of_known_columns(path):
    files = UseCaseFiles(path.parent, SHARED_CODE_SETS)
    code_sets = read_code_sets(files.code_set_folders)
    catalogue = read_feature_mappings(files.feature_mappings, code_set_names=tuple(code_sets))
    rules = read_imputation(files.imputation, catalogue)
    use_case = use_case_from(yaml.safe_load(path.read_text())["attributes"]["use_case"])

    design = comparator_design(use_case, path.parent, catalogue.column_names, rules)

    assert design is not None
    assert set(design.columns) <= set(catalogue.column_names)
    assert "age__years" in design.plain
