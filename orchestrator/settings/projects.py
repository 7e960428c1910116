"""Settings of projects: where they live, how long things may take, what new ones are made from."""

from orchestrator.env import env

PROJECTS_FORGE: str = env.str("PROJECTS_FORGE", "local")
PROJECTS_BUNDLE_MAX_BYTES: int = env.int("PROJECTS_BUNDLE_MAX_BYTES", 50 * 1_048_576)
# Successful listings in a row that must not name a repository before it counts as missing.
PROJECTS_REPOSITORY_MISSES = 3
PROJECTS_SCAFFOLD_DEADLINE_SECONDS = 120
PROJECTS_MERGE_DEADLINE_SECONDS = 120
# A git host elsewhere may be away or make us wait; its own checks of a pull request take their time.
PROJECTS_HOST_PATIENCE_SECONDS = 900
PROJECTS_CHECKS_DEADLINE_SECONDS = 1_500
# A deploy workflow that takes longer is canceled.
PROJECTS_WORKFLOW_DEADLINE_SECONDS: int = env.int("PROJECTS_WORKFLOW_DEADLINE_SECONDS", 1_800)
# The shortest pause between two looks at it; doubled after a minute and again after five.
PROJECTS_POLL_SECONDS: int = env.int("PROJECTS_POLL_SECONDS", 15)
# Who summarises their documents: anthropic/MODEL or openai/MODEL; empty: their own words.
DOCUMENTS_SUMMARY_MODEL: str = env.str("DOCUMENTS_SUMMARY_MODEL", "")

# The template of new projects: ours unless another one is named (git address or path, tag or commit, and the
# table that maps our answers to its questions: a YAML file, or JSON; see apps/projects/template_mapping.py).
SCAFFOLD_TEMPLATE: str = env.str("SCAFFOLD_TEMPLATE", "")
SCAFFOLD_TEMPLATE_REF: str = env.str("SCAFFOLD_TEMPLATE_REF", "")
SCAFFOLD_TEMPLATE_MAP: str = env.str("SCAFFOLD_TEMPLATE_MAP", "")

# Whether this machine itself may be deployed to: what agents wrote then runs beside our own processes.
INFRA_LOCAL_TARGET: bool = env.bool("INFRA_LOCAL_TARGET", True)
