"""``/API/manager/explain``: why a login has its labels."""

from __future__ import annotations

from oc.auth.explaining import ExplainedLogin, Question
from oc.errors import AuthenticationError, BadRequestError
from oc.od.base_controller import BaseController
from oc.web import Call, expose


class RuleRoutes(BaseController):
    """Mixed into the ManagerController."""

    @expose(
        methods=("POST",),
        auth="manager",
        body=Question,
        envelope=False,
        trace=False,
        lane="work",
        answer=ExplainedLogin,
    )
    def explain(self, call: Call, body: Question) -> object:
        """Which rule of a provider gives which label to a described or looked-up user, and why; logs nobody in."""
        try:
            return self.services.auth.explain(body, call.client)
        except AuthenticationError as error:
            raise BadRequestError(error.message, doing=error.doing) from error
