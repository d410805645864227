"""mmse: raw search logs in, a query encoder and a searchable ANN index out."""

from setuptools import find_packages, setup

EXPORT = ["onnx==1.23.2", "onnxruntime==1.32.0"]
"""What `mmse export` alone needs."""
S3 = ["boto3>=1.36,<2"]
"""What a snapshot log in an object store needs."""

setup(
    name="mmse",
    version="0.1.0",
    description="Multi-stage multi-grained semantic embeddings for e-commerce search, as a distributed Spark pipeline",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",  # only 3.11 was run
    packages=find_packages(include=["jobs", "jobs.*", "mmse_model", "mmse_model.*", "schemas", "schemas.*"]),
    package_data={"jobs.report": ["templates/*"], "jobs.runtime": ["log4j2.properties"]},
    install_requires=[
        "pyspark>=4.0.5,<4.1",
        "petastorm==0.12.1",
        "pyarrow>=14.0.2,<15",
        "numpy>=1.26.4,<2",
        "scipy>=1.11",
        "pandas>=2.2,<3",
        "torch>=2.13,<2.14",
        "faiss-cpu>=1.15.1,<1.16",
        "great-expectations>=1.24.1,<1.25",
        "pydantic>=2.7,<3",
        "pyyaml>=6,<7",
        "safetensors>=0.4,<1",
        "bm25s>=0.3,<0.4",
        "jinja2>=3.1,<4",
        "matplotlib>=3.8,<4",
        "tqdm>=4.66,<5",
        "tensorboard>=2.20,<2.21",
    ],
    extras_require={
        "dev": ["pytest>=8,<9", "hypothesis>=6.100,<7", "ruff>=0.6,<1", "duckdb>=1,<2", "ir-measures>=0.3,<1", *EXPORT, *S3],
        "export": EXPORT,
        "s3": S3,
    },
    entry_points={"console_scripts": ["mmse=jobs.cli:main"]},
)
