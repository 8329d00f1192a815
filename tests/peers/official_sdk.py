"""Sends a request for each documented use of the official Python SDK to the given address.

Prints the name of each request after its response, in the order of the requests.
"""

import sys

import mparticle
from mparticle.models.user_attribute_change_event import UserAttributeChangeEvent

NOW = 1767225600000
SESSION = "4e1c7d5a-09e4-4f3b-8a55-2a4b7f0d1c33"


def batch(*events, **fields):
    created = mparticle.Batch(environment="development", **fields)
    created.user_identities = fields.get("user_identities") or mparticle.UserIdentities(email="mira@shop.example")
    created.events = list(events)
    return created


def consent(kind, document):
    return kind(document, True, NOW, "shop.example/signup", "device-1")


consents = mparticle.ConsentState()
consents.gdpr = {"analytics": consent(mparticle.GDPRConsentState, "terms.v3")}
consents.ccpa = {"data_sale_opt_out": consent(mparticle.CCPAConsentState, "ccpa.v1")}

custom_event = mparticle.AppEvent(
    "Added Note",
    "user_content",
    timestamp_unixtime_ms=NOW,
    session_uuid=SESSION,
    custom_attributes={"length": "512"},
    custom_flags={"channel": "web"},
    location=mparticle.GeoLocation(52.52, 13.405, 25.0),
    device_current_state=mparticle.DeviceCurrentState(battery_level=0.5, gps_state=True, device_orientation="FaceUp"),
)
tea = mparticle.Product(id="TEA-12", name="Assam 250 g", price=12.99, quantity=2.0, total_product_amount=25.98)
purchase = mparticle.ProductAction(
    "purchase", transaction_id="T-1", tax_amount=4.15, total_amount=25.98, products=[tea]
)
promotion = mparticle.PromotionAction("view", [mparticle.Promotion("WINTER", "Winter sale", "tea", "top")])
crash = {"severity": "error", "message": "index out of range", "class_name": "CartView", "exception_handled": False}
breadcrumb = mparticle.BreadcrumbEvent(session_number=3, label="Opened cart")

SINGLE = {
    "user": batch(
        user_identities=mparticle.UserIdentities(
            customerid="123456", email="mira@shop.example", other_id_2="loyalty-77", mobile_number="+4915112345678"
        ),
        user_attributes={"$firstname": "Mira", "seats": 5, "newsletter": True, "plans": ["free", "pro"]},
        deleted_user_attributes=["trial_ends"],
        ip="203.0.113.7",
        mpid=-7346244611012968789,
        mp_deviceid="7f1b1e4a-2e5c-4b5c-9a41-4f3b0f5a7c11",
        integration_attributes={"128": {"client_id": "5f3c"}},
        context=mparticle.BatchContext(mparticle.DataPlanContext("shop_events", 3)),
    ),
    "device": batch(
        device_info=mparticle.DeviceInformation(
            platform="iOS",
            os_version="18.1",
            screen_height=2556,
            timezone_offset=1,
            is_tablet=False,
            ios_advertising_id="07d2ebaa-e956-407e-a1e6-f05f871bf4e2",
            att_authorization_status="authorized",
            att_timestamp_unixtime_ms=NOW,
        ),
        application_info=mparticle.ApplicationInformation("Shop", "4.2.0", package="example.shop"),
    ),
    "consent": batch(consent_state=consents),
    "custom event": batch(custom_event),
    "session": batch(
        mparticle.SessionStartEvent(session_id=12345678, timestamp_unixtime_ms=NOW),
        mparticle.SessionEndEvent(session_id=12345678, timestamp_unixtime_ms=NOW + 10000, session_duration_ms=10000),
    ),
    "screen view": batch(mparticle.ScreenViewEvent(screen_name="Home", custom_flags={"channel": "web"})),
    "purchase": batch(
        mparticle.CommerceEvent(purchase, shopping_cart=mparticle.ShoppingCart([tea]), currency_code="EUR")
    ),
    "promotion": batch(mparticle.CommerceEvent(promotion_action=promotion)),
    "impressions": batch(mparticle.CommerceEvent(product_impressions=[mparticle.ProductImpression("Search", [tea])])),
    "crash report": batch(mparticle.CrashReportEvent(**crash)),
    # Labelled by hand, because the SDK labels it `commerce_event`.
    "crash report with breadcrumbs": batch(
        mparticle.EventBase(mparticle.CrashReportEvent(breadcrumbs=[breadcrumb], **crash), "crash_report")
    ),
    "breadcrumb": batch(breadcrumb),
    "profile": batch(
        mparticle.ProfileEvent(profile_name="new", previous_profile_name="old", profile_event_type="login")
    ),
    "application state": batch(
        mparticle.ApplicationStateTransitionEvent(
            application_transition_type="application_initialized", is_first_run=True, is_upgrade=False
        )
    ),
    "network performance": batch(
        mparticle.NetworkPerformanceEvent(
            http_verb="GET",
            url="https://api.shop.example/cart",
            time_elapsed=184,
            bytes_in=5120,
            bytes_out=310,
            response_code=200,
        )
    ),
    "opt out": batch(mparticle.OptOutEvent(is_opted_out=True)),
    "push registration": batch(mparticle.PushRegistrationEvent(register=True, registration_token="dGVzdA==")),
    "push message": batch(
        mparticle.PushMessageEvent(
            push_message_token="dGVzdA==",
            push_message_type="received",
            push_notification_payload="{}",
            application_state="background",
            network="apn",
        )
    ),
    "first run": batch(mparticle.FirstRunEvent(timestamp_unixtime_ms=NOW)),
    "user attribute change": batch(
        UserAttributeChangeEvent(user_attribute_name="plan", new="pro", old="free", deleted=False)
    ),
}

configuration = mparticle.Configuration()
configuration.host, configuration.api_key, configuration.api_secret = sys.argv[1:]
api = mparticle.EventsApi(configuration)
for name, body in SINGLE.items():
    api.upload_events(body)
    print(name)
api.bulk_upload_events([SINGLE["custom event"], SINGLE["user"]])
print("bulk")
