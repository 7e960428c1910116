"""The forge `github`: repositories of one GitHub organisation, or of a GitHub Enterprise host.

PyGithub carries the requests (`transport`), signs as the app (`app`) and seals
secrets; what an answer says is read from its JSON here, because PyGithub's
objects fetch what they lack with calls nobody asked for, and every call is
counted: each verb states its calls, its permissions and what its refusals mean.

Modules, from the bottom: `config`, `transport`, `errors`, `store` (Redis), `limits`,
`app`, `tokens`, `remembered` (ETags), `client`; then the verbs, one class each
(`repositories`, `mirrors`, `merging`, `pull_requests`, `checks`, `secrets`, `workflows`,
`deployments`); `adapter` puts them together.

Every address that is asked, below GITHUB_API_BASE_URL ({r} = /repos/{org}/{name})::

    as the app (JSON Web Token)
      GET    /app                                             doctor only
      GET    /orgs/{org}/installation                         remembered for an hour
      POST   /app/installations/{id}/access_tokens            {permissions, repository_ids}; remembered
      GET    /app/installations/{id}                          only to name a permission that lacks
    without credentials
      GET    /orgs/{org}                                      only after "not installed": does it exist?
    repositories
      POST   /orgs/{org}/repos                                private, marked in its description
      GET    {r}                                              ETag
      DELETE {r}
      PUT    {r}/branches/{branch}/protection
      GET    {r}/branches/{branch}/protection
    pull requests
      GET    {r}/pulls?state=all&head={org}:{branch}&base=    pages
      POST   {r}/pulls
      GET    {r}/pulls/{n}                                    ETag
      PATCH  {r}/pulls/{n}                                    {state: closed}
      PUT    {r}/pulls/{n}/merge                              {sha, merge_method: merge, ...}
    checks and runs
      GET    {r}/commits/{sha}/check-runs?filter=latest       ETag, pages
      GET    {r}/actions/runs?head_sha=                       ETag; only when a check is missing
      GET    {r}/actions/jobs/{id}                            the id is that of the check run
      GET    {r}/actions/jobs/{id}/logs                       302 to a text, fetched without credentials
      GET    {r}/actions/runs/{id}                            ETag
      GET    {r}/actions/runs/{id}/jobs?filter=latest         pages
      GET    {r}/actions/runs/{id}/logs                       302 to a zip; only if the job's text is gone
      POST   {r}/actions/runs/{id}/rerun-failed-jobs
      POST   {r}/actions/runs/{id}/cancel
      GET    {r}/actions/workflows/{file}/runs?event=workflow_dispatch   pages
      POST   {r}/actions/workflows/{file}/dispatches          {ref, inputs, return_run_details}
    secrets
      GET    {r}/actions/secrets/public-key
      GET    {r}/actions/secrets                              pages
      PUT    {r}/actions/secrets/{name}
      DELETE {r}/actions/secrets/{name}
    deployments
      GET    {r}/deployments?sha=&environment=                ETag
      GET    {r}/deployments/{id}/statuses                    ETag

Commits, branches and files go by git over HTTPS (https://{host}/{org}/{name}.git,
user ``x-access-token``): that costs no call.

A token is good for one repository, by its id, so a repository that took the
name of ours answers 404 to it: then ``GET {r}`` tells whether ours is gone or
replaced.
"""
