"""The words of the interface fit Kubernetes' conditions and mean something."""

from __future__ import annotations

import re

import pytest

from kubeairunway.model.reasons import ConditionType, ConfigCondition, ConfigReason, EventReason, Reason, Word

ENUMS = (ConditionType, Reason, EventReason, ConfigCondition, ConfigReason)


@pytest.mark.parametrize("words", ENUMS, ids=[words.__name__ for words in ENUMS])
def test_every_word_is_one_camel_case_word_with_a_meaning(words: type[Word]) -> None:
    assert len(words) >= 5
    for word in words:
        assert re.fullmatch(r"([A-Z][a-z0-9]*)+", word)
        assert len(word.meaning) > 10
        assert word == str(word) == word.value


def test_a_word_is_found_by_its_text() -> None:
    assert Reason("NoProvider") is Reason.NO_PROVIDER
    with pytest.raises(ValueError, match="Nonsense"):
        Reason("Nonsense")
