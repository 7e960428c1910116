"""An app of the tests: emptying the database between tests that commit, at a tenth of the price."""
