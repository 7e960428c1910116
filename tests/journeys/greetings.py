"""What the scripted model lets a real agent do for the task `greet every guest`: edit, check, commit."""

from tests.model_server import Run, Say, Scenario

ROUTER = '''"""Says hello to whoever is named."""

from fastapi import APIRouter

router = APIRouter(tags=["greetings"])


@router.get("/greetings/{name}")
def greet(name: str) -> dict[str, str]:
    """Return a greeting."""
    return {"greeting": f"Hello, {name}!"}
'''
TEST = '''"""Greetings are polite."""

from fastapi.testclient import TestClient


def test_greeting_names_the_guest(client: TestClient) -> None:
    assert client.get("/greetings/Ada").json() == {"greeting": "Hello, Ada!"}
'''
PACKAGE = '"""Greetings."""\n'
FILES = {
    "app/resources/greetings/__init__.py": PACKAGE,
    "app/resources/greetings/router.py": ROUTER,
    "tests/test_greetings.py": TEST,
}
WRITE = "set -e; mkdir -p app/resources/greetings\n" + "".join(
    f"cat > {path} <<'END'\n{text}END\n" for path, text in FILES.items()
)
COMMIT = "make setup && make check && git add -A && git commit --quiet -m 'Greet guests' && git log --oneline"
DONE = 'It greets.\n<result>{"status": "success", "summary": "Guests are greeted."}</result>'
GREETINGS = Scenario(
    "greet every guest",
    (Run(WRITE, text="I write the route first."), Run("git diff --stat"), Run(COMMIT), Say(DONE)),
)
