"""The VT-d driver: domains, PASIDs, page tables, queued invalidation, faults (drivers/iommu/intel)."""

from siov.host.iommu.cache import Attachment, IommuDevice, Stage
from siov.host.iommu.domain import Domain, IdentityDomain, NestedDomain, PagingDomain
from siov.host.iommu.fault import DmaFault, RequestKind
from siov.host.iommu.ids import Ids, iommu_alloc_global_pasid, iommu_free_global_pasid, pasid_allocator
from siov.host.iommu.iommu import IntelIommu
from siov.host.iommu.page_requests import Request
from siov.host.iommu.queue import DeviceTlbTimeoutError, InvalidationError
from siov.host.iommu.unit import RemappingUnit

__all__ = [
    "Attachment",
    "DeviceTlbTimeoutError",
    "DmaFault",
    "Domain",
    "IdentityDomain",
    "Ids",
    "IntelIommu",
    "InvalidationError",
    "IommuDevice",
    "NestedDomain",
    "PagingDomain",
    "RemappingUnit",
    "Request",
    "RequestKind",
    "Stage",
    "iommu_alloc_global_pasid",
    "iommu_free_global_pasid",
    "pasid_allocator",
]
