"""The ways to reach people: Slack, mail, and a webhook for everything else.

Each is a module with a class that sends a notice (``alerts.notice.Channel``) and is told here.
"""

from __future__ import annotations

from ..alerts.notice import Channel
from ..errors import ConfigurationError
from ..models import Severity
from ..settings import MailSettings, Settings, SlackSettings, WebhookSettings, names


def connected(settings: Settings) -> dict[str, tuple[Channel, Severity | None]]:
    """The channels that are set, each with the least severity that it is told of, in order.

    A module is loaded where its channel is set: slack_sdk alone takes a tenth of a second.
    Raises ``ConfigurationError`` where a mail user lacks the password; only who sends needs it,
    since the credentials of a service are for nobody else to read.
    """
    make = {
        "slack": lambda: _slack(settings.slack),
        "mail": lambda: _mail(settings.mail),
        "webhook": lambda: _webhook(settings.webhook),
    }
    return {name: (make[name](), least) for name, least in chosen(settings).items()}


def chosen(settings: Settings) -> dict[str, Severity | None]:
    """The same channels, none of them connected: whoever sends nothing needs no secret."""
    slack, mail, webhook = settings.slack, settings.mail, settings.webhook
    found = {
        "slack": (slack.token or slack.webhook_url, slack.least),
        "mail": (mail.host, mail.least),
        "webhook": (webhook.url, webhook.least),
    }
    return {name: least for name, (is_set, least) in found.items() if is_set}


def _slack(slack: SlackSettings) -> Channel:
    from .slack import SlackBot, SlackWebhook  # noqa: PLC0415

    if slack.webhook_url:
        return SlackWebhook(slack.webhook_url.get_secret_value())
    token = slack.token.get_secret_value() if slack.token else ""
    return SlackBot(token, slack.channel, base_url=slack.api_url)


def _mail(mail: MailSettings) -> Channel:
    from .email import Mail  # noqa: PLC0415

    if mail.user and not mail.password:
        raise ConfigurationError(
            "[mail] has a user and no password; set password or password_file, or give the "
            "credential mail_password"
        )
    return Mail(
        mail.host,
        mail.port,
        mail.security,
        mail.user or None,
        mail.password.get_secret_value() if mail.password else None,
        mail.sender,
        names(mail.recipients),
        ca_file=mail.ca_file,
    )


def _webhook(webhook: WebhookSettings) -> Channel:
    from .webhook import Webhook  # noqa: PLC0415

    url = webhook.url.get_secret_value() if webhook.url else ""
    token = webhook.token.get_secret_value() if webhook.token else None
    return Webhook(url, token=token)
