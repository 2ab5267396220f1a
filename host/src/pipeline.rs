//! One tenant's way from source to manifest. The only module that orders effects.
