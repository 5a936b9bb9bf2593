"""Object storage with the S3 API."""

from inithold.steps.s3.bucket import Bucket
from inithold.steps.s3.settings import (
    AbortUpload,
    CorsRule,
    Expiration,
    LifecycleRule,
    NoncurrentExpiration,
    NoncurrentTransition,
    PublicAccessBlock,
    Retention,
    Transition,
)

__all__ = [
    "AbortUpload",
    "Bucket",
    "CorsRule",
    "Expiration",
    "LifecycleRule",
    "NoncurrentExpiration",
    "NoncurrentTransition",
    "PublicAccessBlock",
    "Retention",
    "Transition",
]
