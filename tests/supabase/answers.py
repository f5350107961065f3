"""What Storage says when it refuses: HTTP 400 for nearly everything, the real status as text in the body."""

from __future__ import annotations

from tests.emulator.wire import Reply, json_reply


class Refused(Exception):
    """One of Storage's refusals, as its body spells it."""

    def __init__(self, status: str, error: str, message: str, code: str, *, http: int = 400) -> None:
        super().__init__(message)
        self.reply = json_reply(
            {"statusCode": status, "error": error, "message": message, "code": code}, status=http
        )


def no_object() -> Refused:
    return Refused("404", "not_found", "Object not found", "NoSuchKey")


def no_bucket() -> Refused:
    return Refused("404", "Bucket not found", "Bucket not found", "NoSuchBucket")


def exists(code: str = "KeyAlreadyExists") -> Refused:
    return Refused("409", "Duplicate", "The resource already exists", code)


def not_empty() -> Refused:
    return Refused(
        "409", "ResourceNotEmpty", "The bucket you tried to delete is not empty", "ResourceNotEmpty"
    )


def too_large() -> Refused:
    return Refused(
        "413", "Payload too large", "The object exceeded the maximum allowed size", "EntityTooLarge"
    )


def wrong_type(media_type: str) -> Refused:
    return Refused("415", "invalid_mime_type", f"mime type {media_type} is not supported", "InvalidMimeType")


def invalid_key(key: str) -> Refused:
    return Refused("400", "InvalidKey", f"Invalid key: {key}", "InvalidKey")


def invalid_bucket_name() -> Refused:
    return Refused("400", "Invalid Input", "Bucket name invalid", "InvalidBucketName")


def forbidden(why: str = "new row violates row-level security policy") -> Refused:
    return Refused("403", "Unauthorized", why, "AccessDenied")


def invalid_body(why: str) -> Refused:
    return Refused("400", "Error", f"body/{why}", "InvalidRequest")


def disk_refuses() -> Refused:
    """A name that the disk below the file backend does not take."""
    return Refused("500", "Internal", "Internal Server Error", "InternalError", http=500)


def invalid_token(why: str) -> Refused:
    return Refused("400", "InvalidJWT", why, "InvalidJWT")


def other_signature() -> Refused:
    return Refused("400", "InvalidSignature", "Invalid signature", "InvalidSignature")


def no_route(method: str, path: str) -> Reply:
    """The web framework's own words: here the status is the real one, and a number."""
    return json_reply(
        {"message": f"Route {method}:{path} not found", "error": "Not Found", "statusCode": 404}, status=404
    )
