//! How the cameras of the configuration are, by what their agents wrote.

use everyframe_agent::{CameraState, CameraStatus, read_status};
use everyframe_config::CameraSettings;
use everyframe_types::id::printable;
use everyframe_types::machine::unix_ms;
use std::path::Path;
use std::time::Duration;

/// A status that is older than this is of an agent that does not run any more, milliseconds.
const STALE: i64 = 10_000;

/// A camera of the configuration, and what its agent wrote last.
pub(super) struct Listed {
    pub id: String,
    pub state: &'static str,
    pub status: Option<CameraStatus>,
}

/// The cameras of the configuration as they are now.
pub(super) fn list_cameras(cameras: &[CameraSettings], folder: &Path) -> Vec<Listed> {
    let now = unix_ms();
    let listed = cameras.iter().map(|camera| {
        let status = read_status(folder, &camera.id);
        let state = match &status {
            None => "never started",
            Some(status) if status.state != CameraState::Stopped && now - status.at > STALE => "no agent",
            Some(status) => status.state.as_str(),
        };
        Listed { id: camera.id.clone(), state, status }
    });
    listed.collect()
}

/// A table of the cameras, with their troubles under it.
pub(super) fn render_list(cameras: &[Listed], now: i64) -> String {
    let head =
        ["camera", "state", "last picture", "fps", "size", "codec", "damaged", "refused", "reconnects"];
    let mut rows = vec![head.map(str::to_owned)];
    for Listed { id, state, status } in cameras {
        let text = |value: &dyn Fn(&CameraStatus) -> String| {
            status.as_ref().map_or_else(|| "-".to_owned(), |status| printable(&value(status)))
        };
        rows.push([
            printable(id),
            (*state).to_owned(),
            text(&|status| {
                status.last_picture.map_or("-".into(), |at| {
                    let age = Duration::from_millis((now - at).max(0).unsigned_abs());
                    format!("{} ago", super::when::format_duration(age))
                })
            }),
            text(&|status| format!("{:.1}", status.fps)),
            text(&|status| status.size.map_or("-".into(), |(width, height)| format!("{width} × {height}"))),
            text(&|status| status.codec.clone()),
            text(&|status| status.damaged.to_string()),
            text(&|status| status.refused.to_string()),
            text(&|status| status.reconnects.to_string()),
        ]);
    }
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            format!("{cell:<width$}")
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text += "\n";
    }
    for Listed { id, status, .. } in cameras {
        if let Some(status) = status.as_ref().filter(|status| !status.trouble.is_empty()) {
            text += &printable(&format!("{id}: {}", status.trouble));
            text += "\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_line_for_each_camera_and_its_trouble() {
        let status = CameraStatus {
            camera: "gate".into(),
            at: 0,
            state: CameraState::Away,
            trouble: "the connection was refused".into(),
            codec: "h264".into(),
            size: Some((1280, 720)),
            last_picture: Some(1000),
            fps: 24.96,
            lateness_ms: 0,
            read: 7,
            refused: 1,
            damaged: 2,
            dropped: 3,
            skipped: 4,
            reconnects: 5,
        };
        let cameras = [
            Listed { id: "gate".into(), state: "away", status: Some(status) },
            Listed { id: "yard".into(), state: "never started", status: None },
        ];
        let text = render_list(&cameras, 61_000);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("gate    away"), "{text}");
        assert!(lines[1].contains("25.0  1280 × 720  h264   2"), "{text}");
        assert!(lines[2].starts_with("yard    never started  -"), "{text}");
        assert_eq!(lines[3], "gate: the connection was refused");
    }
}
