//! Settings of the dashboard. Pure.

use super::{HostPort, SettingReader};
use crate::config::{AccessMode, DashboardConfig};

const LISTEN: &str = "WAPI_DASHBOARD_LISTEN";

/// Reads the dashboard's settings.
pub fn read_dashboard(reader: &mut SettingReader) -> Option<DashboardConfig> {
    let is_on = reader.read_required("WAPI_DASHBOARD", |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("is `{other}`; it can be on or off")),
    });
    let listen = reader.read_optional(LISTEN, HostPort::parse);
    let allows_plain_http = reader.read_required("WAPI_DASHBOARD_INSECURE", |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(format!("is `{other}`; it can be true or false")),
    });
    let is_on = is_on?;
    Some(DashboardConfig {
        is_on,
        listen: listen.filter(|_| is_on),
        allows_plain_http: allows_plain_http?,
    })
}

/// Refuses a dashboard that other machines reach on a gateway that is open because none does.
pub fn check_dashboard_access(
    reader: &mut SettingReader,
    dashboard: Option<&DashboardConfig>,
    access: Option<&AccessMode>,
) {
    let listen = dashboard.and_then(|dashboard| dashboard.listen.as_ref());
    if matches!(access, Some(AccessMode::Loopback))
        && listen.is_some_and(|listen| !listen.is_loopback())
    {
        reader.errors.add(
            LISTEN,
            "can be reached from other machines, and there is no key: set WAPI_API_KEY, or WAPI_AUTH=none to accept \
             everybody",
        );
    }
}
