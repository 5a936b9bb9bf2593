"""Object storage that speaks the S3 API."""

from inithold.steps.s3.bucket import Bucket

__all__ = ["Bucket"]
