"""The lanes: priority classes, each with a queue of its own, all sharing one quota."""

from enum import StrEnum


class SmsType(StrEnum):
    """The provider's ``Type`` parameter of SendMessageToGlobe."""

    OTP = "OTP"
    NOTIFY = "NOTIFY"
    MKT = "MKT"


class Lane(StrEnum):
    """A priority class; iterating gives the most urgent first."""

    OTP = "otp"
    NOTIFY = "notify"
    MARKETING = "marketing"

    @property
    def sms_type(self) -> SmsType:
        """The provider's type that travels on this lane."""
        return _TYPE_OF[self]

    @property
    def rank(self) -> int:
        """0 is served first."""
        return _RANK_OF[self]

    @classmethod
    def of(cls, sms_type: SmsType) -> "Lane":
        """The lane on which *sms_type* travels."""
        return _LANE_OF[sms_type]


_TYPE_OF = {Lane.OTP: SmsType.OTP, Lane.NOTIFY: SmsType.NOTIFY, Lane.MARKETING: SmsType.MKT}
_LANE_OF = {sms_type: lane for lane, sms_type in _TYPE_OF.items()}
_RANK_OF = {lane: rank for rank, lane in enumerate(Lane)}
