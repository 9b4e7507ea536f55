"""The picture is whole, safe XML, whatever the names are."""

from xml.etree import ElementTree

from headrace_forge.optimisation.picture import picture

from tests.unit.forge.optimisation.test_choice import ORIGINAL, candidate


def test_every_candidate_is_in_the_picture_and_names_are_escaped():
    every = [ORIGINAL, candidate("int8"), candidate("<b>", speedup=2.0, size=1)]
    root = ElementTree.fromstring(picture("digits <v1>", every, ["int8"], "int8"))
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "digits <v1>"
    assert {"1  original", "2  int8", "3  <b>"} <= set(texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 3


def test_one_candidate_and_none_are_pictures_too():
    assert ElementTree.fromstring(picture("m", [ORIGINAL], [], None)) is not None
    assert ElementTree.fromstring(picture("m", [], [], None)) is not None
