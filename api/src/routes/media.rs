//! `/media`: upload files, and read those that one may read.

use crate::{
    App, Problem,
    caller::{Caller, MaybeCaller},
    extract::{Path, Query},
    headers,
    layers::Uploaded,
    media::{
        range::{Wanted, wanted},
        receive::Coming,
    },
    problem::Failures,
};
use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use circolo_domain::{
    FileName, MediaId,
    access::Action,
    media::{self, Facts, Family, Holder, Media, MediaType, ThumbnailSize},
    person::{self, Person},
};
use circolo_events::media::{Name, Part};
use futures::TryStreamExt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(upload_media)).routes(routes!(find_media))
}

/// What a file is called.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UploadMedia {
    /// What it is called: up to 255 characters.
    #[param(value_type = Option<String>, min_length = 1, max_length = 255)]
    name: Option<FileName>,
}

/// A file that was uploaded.
#[derive(Debug, Serialize, ToSchema)]
struct MediaView {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: MediaId,
    /// What it is.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "image/jpeg")]
    media_type: &'static str,
    /// How long it is, as it is served.
    bytes: u64,
    /// In pixels, of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    /// In pixels, of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
}

/// Which copy of a picture.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FindMedia {
    /// A smaller copy of a picture: its longest side has 160, 640 or 1,600 pixels at most. What is not larger than that comes as it is.
    #[param(inline, value_type = Option<ThumbnailSizeName>)]
    size: Option<ThumbnailSize>,
}

/// How small.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ThumbnailSize)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "for the description")]
enum ThumbnailSizeName {
    Small,
    Medium,
    Large,
}

/// Upload a file: the body is the file, `Content-Type` says what it is.
///
/// Pictures (`image/jpeg`, `png`, `webp`, `gif`), videos (`video/mp4`, `webm`, `quicktime`), audio (`audio/mpeg`, `mp4`, `ogg`),
/// `application/pdf` and `application/zip`. Whoever uploaded it may read it for a day; from when something shows it, who may see that
/// may read it; a day after nothing does any more, it is gone. What cameras write into pictures (place, time, device) is taken out.
///
/// 413 `body_too_large` with `details.limit`; 415 `unsupported_media_type` for other types, and `media_type_mismatch` if the file is not
/// what `Content-Type` says; 422 `unreadable_media` for what is no whole picture, `too_many_pixels` for one that is too large; 429
/// `media_quota_of_the_day` and 409 `media_quota` for whoever has uploaded enough.
#[utoipa::path(
    post,
    path = "/media",
    tag = "media",
    params(UploadMedia),
    request_body(content = String, content_type = "application/octet-stream", description = "The file."),
    responses((status = 201, body = MediaView), Failures)
)]
async fn upload_media(
    State(app): State<App>,
    caller: Caller,
    Query(UploadMedia { name }): Query<UploadMedia>,
    request: Request,
) -> Result<Response, Problem> {
    let claim = claim(request.headers())?;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let done = app.receive(&caller, Coming { claim, length, name, body: request.into_body() }).await?;
    let id = MediaId(caller.command_id());
    let state = app.executor().load::<Media>(&media::stream(id)).await?.state;
    let facts = state.facts().ok_or_else(Problem::not_found)?;
    let Facts { media_type, bytes, pixels, .. } = facts;
    let (width, height) = pixels.unzip();
    let view = MediaView { id, media_type: media_type.as_str(), bytes: *bytes, width, height };
    let headers = [(header::LOCATION, format!("/v1/media/{id}")), (headers::POSITION, done.position.0.to_string())];
    Ok((StatusCode::CREATED, headers, crate::extract::Json(view)).into_response())
}

/// What a file is said to be.
fn claim(headers: &HeaderMap) -> Result<MediaType, Problem> {
    let claim = headers.get(header::CONTENT_TYPE).and_then(|claim| claim.to_str().ok()).and_then(MediaType::claimed);
    claim.ok_or_else(|| {
        let known: Vec<&str> = MediaType::ALL.iter().map(|known| known.as_str()).collect();
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "files of this type are not stored");
        problem.with_details(serde_json::json!({ "types": known }))
    })
}

/// Read a file, or a part of it.
///
/// It may be read by whoever may see what shows it, and by who uploaded it while nothing does. `Range` (one range), `If-Range` and
/// `If-None-Match` are understood; a file never changes, so neither does its `ETag`. Documents and archives come as attachments, and
/// nothing that is served here runs in a browser.
#[utoipa::path(
    get,
    path = "/media/{id}",
    tag = "media",
    params(("id" = Uuid, Path,), FindMedia),
    responses(
        (status = 200, body = String, content_type = "application/octet-stream", description = "The file."),
        (status = 206, body = String, content_type = "application/octet-stream", description = "The part that was asked for."),
        (status = 304, description = "The caller has it already."),
        (status = 416, description = "The file has no such part."),
        Failures,
    )
)]
async fn find_media(
    State(app): State<App>,
    caller: MaybeCaller,
    Path(id): Path<MediaId>,
    Query(FindMedia { size }): Query<FindMedia>,
    asked: HeaderMap,
) -> Result<Response, Problem> {
    let facts = readable(&app, &caller, id).await?;
    let thumbnail = size.and_then(|size| facts.thumbnails.iter().find(|copy| copy.size == size));
    let (part, media_type, length) = match thumbnail {
        Some(copy) => (Part::Thumbnail(copy.size), copy.media_type, copy.bytes),
        None => (Part::Whole, facts.media_type, facts.bytes),
    };
    let tag = format!("\"{id}.{}\"", part.name());
    let (status, range) = match wanted(&asked, length, &tag) {
        Wanted::Known => return Ok(headed(StatusCode::NOT_MODIFIED, &tag, Body::empty())),
        Wanted::Beyond => return Ok(beyond(length)),
        Wanted::Whole => (StatusCode::OK, 0..length),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let name = Name { media: id, file: facts.file, part };
    let bytes = app.workshop().files.read(name, facts.uploader, app.keys()?, length, range.clone()).await?;
    let mut response = headed(status, &tag, Body::from_stream(bytes.map_ok(Bytes::from)));
    let put = |response: &mut Response, name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(&mut response, header::CONTENT_TYPE, media_type.as_str().to_owned());
    put(&mut response, header::CONTENT_LENGTH, (range.end - range.start).to_string());
    put(&mut response, header::CONTENT_DISPOSITION, disposition(id, &facts, media_type));
    if status == StatusCode::PARTIAL_CONTENT {
        put(&mut response, header::CONTENT_RANGE, format!("bytes {}-{}/{length}", range.start, range.end - 1));
    }
    Ok(response)
}

/// An answer with what belongs to every answer that is about a file's bytes.
fn headed(status: StatusCode, tag: &str, body: Body) -> Response {
    let headers = [(header::ETAG, tag), (header::ACCEPT_RANGES, "bytes"), (header::CACHE_CONTROL, "private, no-cache")];
    let mut response = (status, headers, body).into_response();
    response.extensions_mut().insert(Uploaded);
    response
}

/// 416: the file is no longer than that.
fn beyond(length: u64) -> Response {
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "the file has no such part");
    ([(header::CONTENT_RANGE, format!("bytes */{length}"))], problem).into_response()
}

/// What is known of a file that the caller may read.
async fn readable(app: &App, caller: &MaybeCaller, id: MediaId) -> Result<Facts, Problem> {
    let loaded = app.executor().load_in_part::<Media>(&media::stream(id)).await?;
    let facts = loaded.state.facts().ok_or_else(Problem::not_found)?;
    let own = caller.person() == Some(facts.uploader);
    if loaded.unread.is_some() {
        return Err(Problem::unreadable().unless(!own));
    }
    if own && loaded.state.is_fresh(app.now()) {
        return Ok(facts.clone());
    }
    for holder in loaded.state.holders() {
        if shows(app, caller, holder, id).await? {
            return Ok(facts.clone());
        }
    }
    Err(Problem::not_found())
}

/// Whether the caller sees something that shows this file now.
async fn shows(app: &App, caller: &MaybeCaller, holder: Holder, id: MediaId) -> Result<bool, Problem> {
    match holder {
        Holder::Person(person) => {
            let state = app.executor().load_in_part::<Person>(&person::stream(person)).await?.state;
            Ok(caller.person().is_some() && state.avatar() == Some(id))
        }
        Holder::Group(group) => {
            let standing = app.standing(caller.person(), group).await?;
            Ok(standing.allows(Action::See).is_ok() && standing.group().picture() == Some(id))
        }
        Holder::Page(page) => {
            let standing = app.page_standing(caller.call(), page).await?;
            Ok(standing.sees().is_ok() && standing.page().picture() == Some(id))
        }
    }
}

/// What may stand in a parameter as it is (RFC 8187).
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'!').remove(b'#').remove(b'$').remove(b'&').remove(b'+').remove(b'-').remove(b'.').remove(b'^').remove(b'_');

/// How the file is to be shown, and what it is called (RFC 6266).
fn disposition(id: MediaId, facts: &Facts, media_type: MediaType) -> String {
    let way = if media_type.family() == Family::File { "attachment" } else { "inline" };
    let extension = media_type.extension();
    let Some(name) = &facts.name else { return format!("{way}; filename=\"{id}.{extension}\"") };
    let name: String = name.chars().map(|c| if c.is_control() || c == '/' || c == '\\' { '_' } else { c }).collect();
    // A file that was written anew, or made small, may be of another type than its name says.
    let name = if name.to_ascii_lowercase().ends_with(&format!(".{extension}")) { name } else { format!("{name}.{extension}") };
    let plain: String = name.chars().map(|c| if c == '"' || !(' '..='~').contains(&c) { '_' } else { c }).collect();
    if plain == name {
        return format!("{way}; filename=\"{plain}\"");
    }
    format!("{way}; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, PLAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use circolo_domain::PersonId;
    use uuid::Uuid;

    #[test]
    fn a_name_is_told_so_that_no_program_takes_it_for_something_else() {
        let id = MediaId(Uuid::nil());
        let of = |name: Option<&str>, media_type| {
            let facts = Facts {
                uploader: PersonId(id.0),
                file: id.0,
                media_type,
                bytes: 1,
                pixels: None,
                thumbnails: vec![],
                name: name.map(str::to_owned),
            };
            disposition(id, &facts, media_type)
        };
        assert_eq!(of(None, MediaType::Png), format!("inline; filename=\"{id}.png\""));
        assert_eq!(of(Some("Summit.PNG"), MediaType::Png), "inline; filename=\"Summit.PNG\"");
        assert_eq!(of(Some("a.html"), MediaType::Png), "inline; filename=\"a.html.png\"");
        assert_eq!(of(Some("../x.pdf"), MediaType::Pdf), "attachment; filename=\".._x.pdf\"");
        assert_eq!(
            of(Some("Gipfel\"ü\".zip"), MediaType::Zip),
            "attachment; filename=\"Gipfel___.zip\"; filename*=UTF-8''Gipfel%22%C3%BC%22.zip"
        );
    }
}
