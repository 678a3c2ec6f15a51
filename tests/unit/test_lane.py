from worker.core.message.lane import Lane, SmsType


def test_every_type_of_the_provider_has_a_lane_of_its_own() -> None:
    assert {sms_type: Lane.of(sms_type) for sms_type in SmsType} == {
        SmsType.OTP: Lane.OTP,
        SmsType.NOTIFY: Lane.NOTIFY,
        SmsType.MKT: Lane.MARKETING,
    }
    assert [Lane.of(lane.sms_type) for lane in Lane] == list(Lane)


def test_lanes_come_in_the_order_in_which_they_are_served() -> None:
    assert [(lane.value, lane.rank) for lane in Lane] == [("otp", 0), ("notify", 1), ("marketing", 2)]
