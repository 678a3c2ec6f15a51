"""What one call asks of the provider: the parameters of its two single-message operations."""

import orjson

from worker.core.message.decode import Request


def parameters_of(request: Request, validity_s: int, channel_id: str | None) -> dict[str, str]:
    """The parameters that send *request*, valid for *validity_s* seconds, through *channel_id* if there is one.

    SendMessageWithTemplate knows neither ``Type`` nor ``TaskId`` (the provider's API reference, 2018-05-01), so a
    receipt of a template can be told by its message id only.
    """
    sms = request.sms
    parameters = {"To": sms.number, "ValidityPeriod": str(validity_s)}
    if sms.sender is not None:
        parameters["From"] = sms.sender
    if channel_id:
        parameters["ChannelId"] = channel_id
    if sms.template is None:
        parameters["Message"] = sms.text or ""
        parameters["Type"] = sms.type.value
        parameters["TaskId"] = sms.task_id or sms.id
    else:
        parameters["TemplateCode"] = sms.template.code
        if sms.template.params:
            parameters["TemplateParam"] = orjson.dumps(sms.template.params).decode()
    return parameters
