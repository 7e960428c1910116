"""The result block: first one wins, broken ones are told apart from missing ones."""

import pytest

from worker_image.contract import MAX_RESULT_BYTES
from worker_image.result_parser import ResultParseError, ResultParser, ResultTooLarge

pytestmark = pytest.mark.unit


class TestResultParser:
    def test_extracts_json_from_result_tags(self) -> None:
        stdout = """
        Some text output
        <result>
        {"status": "success", "commit_sha": "abc123"}
        </result>
        More text
        """

        result = ResultParser.parse(stdout)

        assert result == {"status": "success", "commit_sha": "abc123"}

    def test_handles_missing_result_tags(self) -> None:
        assert ResultParser.parse("Agent finished without result tags") is None

    def test_handles_malformed_json(self) -> None:
        with pytest.raises(ResultParseError):
            ResultParser.parse("<result>not valid json</result>")

    def test_handles_multiline_json(self) -> None:
        stdout = """<result>
        {
            "status": "success",
            "summary": "Done"
        }
        </result>"""

        result = ResultParser.parse(stdout)

        assert result is not None
        assert result["status"] == "success"

    def test_whitespace_around_and_inside_the_block_does_not_matter(self) -> None:
        stdout = '\r\n\t <result> \r\n\t {"a":\t1} \n\n</result>\n \n'

        assert ResultParser.parse(stdout) == {"a": 1}

    def test_extracts_first_result_block(self) -> None:
        stdout = '<result>{"a": 1}</result> text <result>{"b": 2}</result>'

        assert ResultParser.parse(stdout) == {"a": 1}

    @pytest.mark.parametrize("block", ['{"a": 1}', "[1]</result>", '"x"</result>', "</result>", "[" * 99_999])
    def test_block_that_is_no_closed_object_is_an_error(self, block: str) -> None:
        with pytest.raises(ResultParseError):
            ResultParser.parse(f"<result>{block}")

    def test_block_over_the_limit_has_its_own_error(self) -> None:
        block = '{"summary": "' + "x" * MAX_RESULT_BYTES + '"}'

        with pytest.raises(ResultTooLarge):
            ResultParser.parse(f"<result>{block}</result>")
