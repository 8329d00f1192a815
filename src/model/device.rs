//! The device of a user, and its state at the time of an event.

use chrono::{DateTime, Utc};

use super::{setters, unixtime_ms};
use crate::generated::types::{AttAuthorizationStatus, DeviceInfo, Orientation, Platform};

impl Platform {
    /// iOS, as the platform spells itself.
    pub const IOS: Self = Self::IOs;
    /// tvOS, as the platform spells itself.
    pub const TVOS: Self = Self::TvOs;
}

setters!(DeviceInfo {
    /// The platform that the device runs.
    platform: Platform,
    /// The brand of the device.
    brand: String,
    /// The product name of the device.
    product: String,
    /// The name of the device.
    device: String,
    /// Who made the device.
    device_manufacturer: String,
    /// The model of the device.
    device_model: String,
    /// The country that the device is set to.
    device_country: String,
    /// The version of the operating system.
    os_version: String,
    /// The build of the operating system.
    build_identifier: String,
    /// The release of the operating system build.
    build_version_release: String,
    /// The architecture of the processor.
    cpu_architecture: String,
    /// The version of Bluetooth.
    bluetooth_version: String,
    /// The radio technology in use, as `lte`.
    radio_access_technology: String,
    /// The language of the locale.
    locale_language: String,
    /// The country of the locale.
    locale_country: String,
    /// The country of the mobile network.
    network_country: String,
    /// The carrier of the mobile network.
    network_carrier: String,
    /// The mobile network code.
    network_code: String,
    /// The mobile country code.
    network_mobile_country_code: String,
    /// The `User-Agent` of the browser.
    http_header_user_agent: String,
    /// The token for push messages.
    push_token: String,
    /// The Android id of the device.
    android_uuid: String,
    /// The id given by AMP pages.
    amp_id: String,
    /// The Microsoft advertising id.
    microsoft_advertising_id: String,
    /// The Microsoft publisher id.
    microsoft_publisher_id: String,
    /// The iOS advertising id (IDFA), a UUID in the spelling that the device gave.
    ios_advertising_id: String,
    /// The iOS id for vendors (IDFV), a UUID in the spelling that the device gave.
    ios_idfv: String,
    /// The Android advertising id (GAID), a UUID in the spelling that the device gave.
    android_advertising_id: String,
    /// The Roku advertising id, a UUID.
    roku_advertising_id: String,
    /// The Roku publisher id, a UUID.
    roku_publisher_id: String,
    /// The Fire advertising id, a UUID.
    fire_advertising_id: String,
    /// The height of the screen, in pixels.
    screen_height: i64,
    /// The width of the screen, in pixels.
    screen_width: i64,
    /// The density of the screen, in dots per inch.
    screen_dpi: i64,
    /// The offset from UTC, in hours.
    timezone_offset: i32,
    /// Whether the device is a tablet.
    is_tablet: bool,
    /// Whether daylight saving time is in force.
    is_dst: bool,
    /// Whether the user limits advertisement tracking.
    limit_ad_tracking: bool,
    /// Whether push messages may sound.
    push_notification_sound_enabled: bool,
    /// Whether push messages may vibrate.
    push_notification_vibrate_enabled: bool,
    /// Whether the device can phone.
    supports_telephony: bool,
    /// Whether the device has NFC.
    has_nfc: bool,
    /// Whether Bluetooth is on.
    bluetooth_enabled: bool,
});

impl DeviceInfo {
    /// What the user answered to App Tracking Transparency, and when.
    #[must_use]
    pub fn att_authorization(mut self, status: AttAuthorizationStatus, at: DateTime<Utc>) -> Self {
        self.att_authorization_status = Some(status);
        self.att_timestamp_unixtime_ms = Some(unixtime_ms(at));
        self
    }
}

setters!(DeviceCurrentState {
    /// Milliseconds since the application started.
    time_since_start_ms: i64,
    /// The charge of the battery.
    battery_level: f64,
    /// The load of the processor, as the device tells it.
    cpu: String,
    /// The connection in use: `offline`, `wifi`, `mobile`, or free text.
    data_connection_type: String,
    /// The connection in use, in more detail.
    data_connection_type_detail: String,
    /// Whether positioning is on.
    gps_state: bool,
    /// How the device is held.
    device_orientation: Orientation,
    /// How the status bar is turned.
    status_bar_orientation: Orientation,
    /// Memory that the system uses, in bytes.
    total_system_memory_usage_bytes: i64,
    /// Free disk space, in bytes.
    disk_space_free_bytes: i64,
    /// Free external disk space, in bytes.
    external_disk_space_free_bytes: i64,
    /// Whether the system is short of memory.
    system_memory_low: bool,
    /// Memory that the system has left, in bytes.
    system_memory_available_bytes: f64,
    /// The mark below which memory is low, in bytes.
    system_memory_threshold_bytes: f64,
    /// Memory that the application has left, in bytes.
    application_memory_available_bytes: f64,
    /// Memory that the application may use, in bytes.
    application_memory_max_bytes: f64,
    /// Memory that the application has, in bytes.
    application_memory_total_bytes: f64,
});
