/** A part of the mesh: all of it, its documents, or one service with its `Service` document. */
export type MeshScope = 'mesh' | 'documents' | { readonly service: string }
