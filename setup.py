"""What pyproject.toml cannot say: slurm/ travels in the wheel, as mpicomp/templates."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["mpicomp*"]), "mpicomp.templates"],
    package_dir={"mpicomp.templates": "slurm"},
    package_data={"mpicomp": ["py.typed"], "mpicomp.templates": ["*.sbatch"]},
)
