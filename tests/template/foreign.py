"""A template of another make, as a git repository: other questions, other names, no manifest of ours."""

import subprocess
from pathlib import Path
from typing import Final

QUESTIONS: Final = """\
_min_copier_version: "9.0.0"
_subdirectory: template
_templates_suffix: .jinja
_answers_file: .copier-answers.yml
_exclude:
  - "copier.yml"
  - "{% if 'backend' not in modules_list %}services/backend{% endif %}"
  - "{% if 'tg_bot' not in modules_list %}services/tg_bot{% endif %}"

project_name:
  type: str
  validator: >-
    {% if not (project_name | regex_search('^[a-z][a-z0-9_-]*$')) %}lower case letters first{% endif %}
project_slug:
  type: str
  default: "{{ project_name | replace('-', '_') }}"
  when: false
project_description:
  type: str
  default: A service
task_description:
  type: str
  default: ""
author_name:
  type: str
  default: Developer
modules:
  type: str
  default: backend
  validator: "{% if not modules %}choose at least one{% endif %}"
modules_list:
  type: yaml
  default: "{{ modules.split(',') | map('trim') | list }}"
  when: false
"""
MAKEFILE: Final = """\
.PHONY: setup lint tests list-tests
setup:
\t@touch .set-up
lint:
\t@test -f .set-up
tests:
\t@grep -q {{ project_slug }} services.yml && mkdir -p .reports && printf '%s' \\
\t\t'<testsuite><testcase classname="services" name="test_named"/></testsuite>' > .reports/junit.xml
list-tests:
\t@echo services::test_named
"""
FILES: Final = {
    "copier.yml": QUESTIONS,
    "template/Makefile.jinja": MAKEFILE,
    "template/.gitignore": ".set-up\n.reports\n",
    "template/services.yml.jinja": "version: 2\nname: {{ project_slug }}\nauthor: {{ author_name }}\n"
    "services: [{{ modules_list | join(', ') }}]\n",
    "template/TASK.md.jinja": "{{ task_description }}\n",
    "template/services/backend/main.py": "print('backend')\n",
    "template/services/tg_bot/main.py": "print('bot')\n",
    "template/{{ _copier_conf.answers_file }}.jinja": "# Do not edit\n{{ _copier_answers | to_nice_yaml }}",
}
MAPPING: Final = """\
answers:
  project_name: {from: slug}
  project_description: {from: name}
  task_description: {from: description}
  author_name: {value: Orchestrator}
  modules: {from: modules, join: ",", words: {backend: backend, telegram: tg_bot}}
manifest:
  version: 1
  commands: {setup: make setup, check: make lint tests, tests: make list-tests}
  services:
    - {module: backend, name: backend, run: make run-backend, port: web, health: /health}
    - {module: telegram, name: tg-bot, kind: bot, run: make run-bot}
  protected: [project.yaml, Makefile]
"""


def git(directory: Path, *arguments: str) -> str:
    """Run git in a directory."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def make_repository(directory: Path, files: dict[str, str], *, tag: str) -> Path:
    """Make a repository with one tagged commit."""
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    return commit(directory, files, tag=tag)


def commit(directory: Path, files: dict[str, str], *, tag: str) -> Path:
    """Add a tagged commit."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    git(directory, "add", "--all")
    git(directory, "commit", "-q", "-m", tag)
    git(directory, "tag", tag)
    return directory
