"""What the product is made of: licences, bill of materials, known vulnerabilities, out of the lock file.

`python -m supply licences | sbom | audit`; nothing here is needed to run the product.
"""
